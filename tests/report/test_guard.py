from __future__ import annotations

from pipeline.report.guard import Guarded, guarded


class _Clumsy(Guarded):
    @guarded
    def fall(self, how: str) -> None:
        raise ValueError(how)


def test_the_first_trouble_is_kept_and_none_gets_out() -> None:
    clumsy = _Clumsy()

    clumsy.fall("first")
    clumsy.fall("second")

    assert clumsy.trouble == "ValueError: first"
