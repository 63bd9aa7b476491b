"""What programs by other people say of a published release: gh downloads it, minisign, sha256sum and cosign judge it.

Part of the rehearsal with ``--tools``: every program must be there and must agree, and each is also shown a changed
file, which it must refuse: a check that accepts everything would agree as well.
"""

from __future__ import annotations

__all__ = ["ask"]

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.github.gh import gh_version, run_gh

_EMPTY_ROOT = {
    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "tlogs": [],
    "certificateAuthorities": [],
    "ctlogs": [],
    "timestampAuthorities": [],
}


def ask(  # noqa: PLR0913  each by name
    *, api: str, repo: str, tag: str, token: str, public_key: str, pem: str, work: Path
) -> Iterator[str]:
    """Ask every program in turn; give a line for each that agreed, and raise RuntimeError at the first that does not.

    Args:
        api: The stand-in's address.
        repo: ``owner/name``.
        tag: The published tag.
        token: The stand-in's token; gh wants one even to read.
        public_key: minisign's key in one line.
        pem: The same key as cosign wants it.
        work: An empty folder.
    """
    folder = work / "downloaded"
    folder.mkdir(parents=True)
    shown = json.loads(
        run_gh(api, "release", "view", tag, "-R", f"github.localhost/{repo}", "--json", "assets,isDraft,tagName",
               token=token, folder=work).stdout
    )  # fmt: skip
    _must(not shown["isDraft"] and shown["tagName"] == tag, f"gh shows another release: {shown['tagName']}")
    run_gh(api, "release", "download", tag, "-R", f"github.localhost/{repo}", "-D", str(folder),
           token=token, folder=work)  # fmt: skip
    names = sorted(path.name for path in folder.iterdir())
    _must(names == sorted(asset["name"] for asset in shown["assets"]), "gh downloaded another set than it shows")
    sizes = {asset["name"]: asset["size"] for asset in shown["assets"]}
    _must(all((folder / name).stat().st_size == size for name, size in sizes.items()), "gh shows other sizes")
    major, minor = gh_version()
    yield f"gh {major}.{minor}: {len(names)} assets, shown and downloaded"

    bundles = sorted(folder.glob("*.tar.zst"))
    _must(bool(bundles), "the release holds no bundle")
    checked = _one_command(folder, public_key)
    listed = [line.split(":")[0] for line in checked.splitlines() if line.endswith(": OK")]
    expected = sorted(set(names) - {"SHA256SUMS", "SHA256SUMS.minisig"})
    _must(sorted(listed) == expected, f"minisign and sha256sum checked other files than these:\n{checked}")
    yield f"minisign and sha256sum, in one command: {len(listed)} files OK"

    (work / "cosign.pub").write_text(pem, encoding="ascii")
    (work / "root.json").write_text(json.dumps(_EMPTY_ROOT), encoding="ascii")
    for bundle in bundles:
        _must(_cosign(work, folder, bundle), f"cosign refuses {bundle.name}")
    yield f"cosign: the provenance vouches for {len(bundles)} bundles"

    victim = bundles[0]
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    _must(_one_command(folder, public_key) == "", "sha256sum did not see a changed byte")
    _must(not _cosign(work, folder, victim), "cosign did not see a changed byte")
    sums = folder / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes() + b"\n")
    _must(_one_command(folder, public_key) == "", "minisign did not see a changed SHA256SUMS")
    yield "each of them refused a changed byte"


def _one_command(folder: Path, public_key: str) -> str:
    """Run what the release's text tells users to run; give its output, empty if it failed."""
    command = f"minisign -Vqom SHA256SUMS -P {public_key} | sha256sum -c --ignore-missing"
    environment = {**os.environ, "LC_ALL": "C"}
    _must(shutil.which("minisign") is not None, "minisign is not installed: apt-get install minisign")
    ended = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return ended.stdout if ended.returncode == 0 else ""


def _cosign(work: Path, folder: Path, bundle: Path) -> bool:
    program = os.environ.get("LLAMATRIX_COSIGN") or shutil.which("cosign")
    _must(program is not None, "cosign is not installed: it is in Debian since trixie; .ci/run shows how to have it")
    assert program is not None
    # The flags of cosign 2.5, Debian's; nobody may be asked over the network, so every way there is a dead one.
    closed = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    ended = subprocess.run(
        [program, "verify-blob-attestation", "--key", str(work / "cosign.pub"),
         "--bundle", str(folder / "provenance.intoto.jsonl"), "--type", "slsaprovenance1", "--new-bundle-format",
         "--trusted-root", str(work / "root.json"), "--insecure-ignore-tlog=true", str(bundle)],
        env={"PATH": os.environ["PATH"], "HOME": str(work), **closed}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.returncode == 0 and "Verified OK" in ended.stderr


def _must(condition: bool, what: str) -> None:
    if not condition:
        raise RuntimeError(what)
