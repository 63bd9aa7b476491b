"""in-toto statements with SLSA provenance, signed as DSSE in a Sigstore bundle."""
