from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.run.compiling import refuse_unknown_files


def _out(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("content")
    return folder


def test_versions_of_a_promised_library_belong_to_it(tmp_path: Path) -> None:
    out = _out(tmp_path, "bundle/libggml.so", "bundle/libggml.so.0", "bundle/libggml.so.0.25.3", "licenses/LICENSE")

    refuse_unknown_files(out, {"bundle/libggml.so", "licenses/LICENSE"})


@pytest.mark.parametrize(
    "name",
    [
        "bundle/libextra.so",
        "bundle/libggml.so.old",
        "bundle/llama-new",
        "stray",
        "bundle/sub/libggml.so",
        "bundle/.hidden",
    ],
)
def test_a_file_nobody_named_is_refused_by_name(tmp_path: Path, name: str) -> None:
    out = _out(tmp_path, "bundle/libggml.so", name)

    with pytest.raises(BundleError, match="does not name: ") as caught:
        refuse_unknown_files(out, {"bundle/libggml.so"})

    assert name in str(caught.value)
