"""Two validators that share no code must both accept our SBOMs, and both find the same planted mistakes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from release.sbom.document import make_sbom
from tests.release import tools
from tests.release.builders import EPOCH, FORGED, REAL, RELEASE, load_matrix, make_collection

pytestmark = pytest.mark.network

HERE = Path(__file__).with_name("validator")


@pytest.fixture(name="validator", scope="module")
def _validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("npm") / "validator"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("node_modules"))
    ended = subprocess.run([*tools.npm(), "ci"], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return folder


def opinions(validator: Path, files: dict[str, bytes]) -> dict[str, bool]:
    for name, data in files.items():
        (validator / name).write_bytes(data)
    command = [tools.node(), "validate.cjs", *files]
    ended = subprocess.run(command, cwd=validator, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode in {0, 1}, ended.stderr
    said = dict(line.split(": ", 1) for line in ended.stdout.splitlines())
    found = {name: said[name] == "valid" for name in files}
    assert all(found.values()) == (ended.returncode == 0)
    return found


def test_both_accept_every_sbom(validator: Path, tmp_path: Path) -> None:
    files = {}
    for engine in (REAL, FORGED):
        for bundle in make_collection(tmp_path / engine, engine=engine).bundles:
            source = load_matrix().file.sources[bundle.inspection.info.source.name]
            files[f"{engine}-{bundle.asset}.json"] = make_sbom(bundle, RELEASE, epoch=EPOCH, source=source)

    assert len(files) == 8
    for data in files.values():
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    assert opinions(validator, files) == dict.fromkeys(files, True)


MISTAKES: dict[str, Callable[[dict[str, Any]], object]] = {
    "type": lambda bom: bom["components"][0].update(type="kontainer"),
    "digest": lambda bom: bom["metadata"]["component"]["hashes"][0].update(content="xyz"),
    "serial": lambda bom: bom.update(serialNumber="1234"),
    "unknown": lambda bom: bom["components"][0].update(colour="red"),
    "time": lambda bom: bom["metadata"].update(timestamp="yesterday"),
    "nameless": lambda bom: bom["components"][0].pop("name"),
}


def test_both_find_every_planted_mistake(validator: Path, tmp_path: Path) -> None:
    bundle = make_collection(tmp_path).bundles[0]
    data = make_sbom(bundle, RELEASE, epoch=EPOCH)
    files = {"good.json": data}
    for name, plant in MISTAKES.items():
        content = json.loads(data)
        plant(content)
        files[f"{name}.json"] = json.dumps(content).encode()

    expected = {name: name == "good.json" for name in files}
    ours = {
        name: JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode()) is None
        for name, text in files.items()
    }
    assert ours == expected
    assert opinions(validator, files) == expected
