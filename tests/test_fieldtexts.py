from __future__ import annotations

import importlib.util
from pathlib import Path

from pipeline.fieldtexts import field_texts


def test_texts_below_fields_are_found_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "records.py"
    path.write_text(
        'class One:\n    """Not a field."""\n\n    a: int\n    """Of\n    a."""\n    b: int\n    c = 1\n'
        '    """No field."""\n'
    )
    spec = importlib.util.spec_from_file_location("records", path)
    assert spec is not None

    assert list(field_texts(importlib.util.module_from_spec(spec))) == [("One", "a", "Of a.")]
