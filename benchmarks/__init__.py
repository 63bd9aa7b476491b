"""The measurements behind docs/measurements.md: ``nox -s bench``, or ``python -m benchmarks [NAME...]``."""
