"""The release's text: Markdown made from the manifest and the collection, the same input giving the same bytes.

Nothing in it is written by hand. Notes that a person keeps up to date claimed CUDA for bundles that were CPU-only
(shimmy 1.9.0), so what is said about a bundle is what its manifest entry says: measured on its bytes.
"""

from __future__ import annotations

__all__ = ["LIMIT", "render_notes", "verify_command"]

import re
from collections.abc import Iterator, Mapping

from pipeline.report.text import count, size_text
from release.errors import SealError
from release.manifest.records import Manifest, ProjectEntry
from release.model import Collection, ReleaseId
from release.notes.changes import Change, ChangeKind, changes, device_code, driver, entries, floor
from release.notes.fit import Part, fit
from release.notes.inert import cell, code, inert

LIMIT = 125_000 - 1_000
"""GitHub takes 125,000 characters; the room left is for the marker line."""

_KEY = re.compile(r"RW[A-Za-z0-9+/]{54}", re.ASCII)
_GIT = re.compile(r"(https://[A-Za-z0-9.-]+(?:/[A-Za-z0-9._-]+?)+?)(?:\.git)?/?", re.ASCII)
_COMMIT_SHOWN = 12
# What is cut first when the text gets too long; what has no number is never cut.
_WORTH = {"missing": 1, "changes": 2, "revoked": 3, "waivers": 4, "bundles": 5}
_TITLES: Mapping[ChangeKind, str] = {
    ChangeKind.PIN: "Upstream",
    ChangeKind.NEW: "New",
    ChangeKind.DROPPED: "No longer here",
    ChangeKind.FLOOR: "Oldest system",
    ChangeKind.DRIVER: "Driver",
    ChangeKind.BACKENDS: "Backends",
    ChangeKind.DEVICE_CODE: "Device code",
    ChangeKind.CPU_VARIANTS: "CPU variants",
    ChangeKind.DEFAULT: "Default",
    ChangeKind.REVOKED: "Revoked",
    ChangeKind.SIZE: "Size",
}


# Without a root of trust cosign 2.5 fetches one over the network first, though only the key is trusted here.
_EMPTY_ROOT = (
    '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1",'
    '"tlogs":[],"certificateAuthorities":[],"ctlogs":[],"timestampAuthorities":[]}'
)


def verify_command(public_key: str) -> str:
    """Give the one command that checks the signature and every file that was downloaded."""
    return f"minisign -Vqom SHA256SUMS -P {public_key} | sha256sum -c --ignore-missing"


def render_notes(
    collection: Collection, release: ReleaseId, manifest: Manifest, *, previous: Manifest | None, public_key: str
) -> str:
    """Write the notes, without the marker line that publishing appends.

    Args:
        collection: What was released; it says where sources come from, what built them, and whether it is a rehearsal.
        release: Where links lead to.
        manifest: The manifest as signed; everything about bundles is taken from it.
        previous: The manifest before it, to compare with.
        public_key: minisign's one-line form.

    Raises:
        SealError: The key is none (it is put into a command), the manifest is another release's, or it does not fit.
    """
    if not _KEY.fullmatch(public_key):
        msg = "the public key for the notes is not minisign's one-line form"
        raise SealError(msg, hint="it is one line of 56 characters that starts with RW")
    ours, theirs = ((side.server, side.repo, side.tag, side.commit) for side in (release, manifest.release))
    if ours != theirs:
        # The reader of the manifest has looked at its names; what is put into commands and links must be those.
        msg = f"the notes are for {' '.join(ours)}, the manifest is of {' '.join(theirs)}"
        raise SealError(msg, hint="this is a bug in llamatrix: please report it")
    parts = [
        _title(collection, release, manifest),
        *_bundles(release, manifest),
        _waivers(manifest),
        _changes(manifest, previous),
        _verify(release, public_key),
        _pins(collection, manifest),
        _missing(manifest),
        _fine_print(manifest),
    ]
    try:
        return fit([part for part in parts if part is not None], LIMIT)
    except ValueError as error:
        raise SealError(str(error), hint="release fewer projects at once") from error


def _title(collection: Collection, release: ReleaseId, manifest: Manifest) -> Part:
    released = [
        f"{inert(name)} {inert(project.source.version)}"
        for name, project in sorted(manifest.projects.items())
        if project.platforms
    ]
    head = f"# {inert(release.tag)}: {', '.join(released) or 'nothing released'}\n"
    if collection.forged:
        head += (
            "\n> [!WARNING]\n> A rehearsal: these bundles were forged, hold no working program, and prove nothing "
            "about real ones.\n"
        )
    every = entries(manifest)
    waived = sum(bool(entry.waivers) for entry in every.values())
    note = f"; {count(waived, 'bundle has', 'bundles have')} waived gates, named below" if waived else ""
    return Part(head=f"{head}\n{count(len(every), 'bundle')}, each measured on its own bytes{note}.\n")


_COLUMNS = ("platform", "variant", "packed", "unpacked", "runs from", "driver", "device code", "CPU variants")


def _bundles(release: ReleaseId, manifest: Manifest) -> Iterator[Part]:
    for name, project in sorted(manifest.projects.items()):
        if not project.platforms:
            continue
        head = f"## {inert(name)}\n\n| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n"
        rows = tuple(_rows(release, project))
        yield Part(head=head, rows=rows, worth=_WORTH["bundles"], noun="bundle")


def _rows(release: ReleaseId, project: ProjectEntry) -> Iterator[str]:
    for platform, entry in sorted(project.platforms.items()):
        for variant in entry.order:
            bundle = entry.variants[variant]
            default = " (default)" if variant == entry.default else ""
            waived = " (waived)" if bundle.waivers else ""
            columns = (
                code(platform),
                f"[{code(variant)}]({release.url(bundle.artifact.name)}){default}{waived}",
                size_text(bundle.artifact.size),
                size_text(bundle.artifact.unpacked_size),
                cell(floor(bundle)),
                cell(driver(bundle)),
                cell(device_code(bundle)),
                str(len(bundle.attest.cpu_variants)),
            )
            yield f"| {' | '.join(columns)} |\n"


def _waivers(manifest: Manifest) -> Part | None:
    rows = tuple(
        f"- {code(name)}, gate {inert(waiver.gate)}, until {waiver.until}: {inert(waiver.reason)}\n"
        for name, entry in entries(manifest).items()
        for waiver in entry.waivers
    )
    if not rows:
        return None
    head = "## Waivers\n\nThese gates did not pass and are accepted until the day named:\n\n"
    return Part(head=head, rows=rows, worth=_WORTH["waivers"], noun="waiver")


def _changes(manifest: Manifest, previous: Manifest | None) -> Part:
    head = "## What changed\n\n"
    if previous is None:
        return Part(head=f"{head}There is no release before this one to compare with.\n")
    since = f"Since {inert(previous.release.tag)} (manifest {previous.manifest_version}):\n\n"
    rows = tuple(_change(change) for change in changes(manifest, previous))
    if not rows:
        return Part(head=f"{head}{since}- nothing but the bytes: no pin, bundle, floor, driver, backend or size.\n")
    return Part(head=head + since, rows=rows, worth=_WORTH["changes"], noun="change")


def _change(change: Change) -> str:
    subject, title = code(change.subject), _TITLES[change.kind]
    before, after = (None if side is None else inert(side, 1000) for side in (change.before, change.after))
    if before is None:
        return f"- {title}: {subject}: {after}\n"
    if after is None:
        return f"- {title}: {subject} (was {before})\n"
    return f"- {title}: {subject}: {before} → {after}\n"


def _verify(release: ReleaseId, public_key: str) -> Part:
    home = f"{release.server}/{release.repo}"
    # One line for each paragraph: in a release's text GitHub shows every line break.
    own = f"python -m release verify {release.tag} --repo {release.repo} --public-key {public_key}"
    pem = f"python -m release pubkey --public-key {public_key} --pem > minisign.pem"
    head = f"""## How to verify

Put `SHA256SUMS`, `SHA256SUMS.minisig` and what you downloaded into one folder. One command, without any network, \
checks the signature and every file there:

```sh
{verify_command(public_key)}
```

A key that is found only beside the files proves nothing: compare it with \
[minisign.pub]({home}/blob/HEAD/minisign.pub) in the repository, and keep it. On macOS, `shasum -a 256` takes the \
place of `sha256sum`. llamatrix itself checks everything else as well, from the manifest to the bytes in each bundle:

```sh
{own}
```

Two other tools can say the same, if you have them. `cosign` reads the provenance, with the same key in its own form; \
`gh` asks GitHub, where the repository locks its releases:

```sh
{pem}
echo '{_EMPTY_ROOT}' > root.json
cosign verify-blob-attestation --key minisign.pem --bundle provenance.intoto.jsonl --type slsaprovenance1 \\
  --new-bundle-format --trusted-root root.json --insecure-ignore-tlog=true BUNDLE
gh release verify-asset {release.tag} BUNDLE --repo {release.repo}
```
"""
    return Part(head=head)


def _pins(collection: Collection, manifest: Manifest) -> Part:
    rows = []
    for name, project in sorted(manifest.projects.items()):
        source = project.source
        if source.commit is None:
            rows.append(f"- **{inert(name)}** {inert(source.version)}: no commit is pinned, nothing is released\n")
            continue
        shown = f"`{source.commit[:_COMMIT_SHOWN]}`"
        home = _home(collection, source.name)
        link = f"[{shown}]({home}/commit/{source.commit})" if home else f"{shown} (`{source.commit}`)"
        rows.append(f"- **{inert(name)}** {inert(source.version)}, commit {link}{_proof(project)}\n")
    tools = sorted(
        {
            (bundle.inspection.info.toolchain.name, bundle.inspection.info.toolchain.lock_sha256)
            for bundle in collection.bundles
        }
    )
    rows += [f"- built with {inert(name)}, locked by {code(f'sha256:{digest}')}\n" for name, digest in tools]
    rows += [
        f"- built with the image {inert(name)}, {code(f'sha256:{digest}')}\n"
        for name, digest in sorted(
            {(m.name, m.digest) for bundle in collection.bundles for m in bundle.materials if m.kind == "image"}
        )
    ]
    return Part(head="## Upstream\n\n" + "".join(rows))


def _home(collection: Collection, source: str) -> str | None:
    """Find the source's own web page: the address of its git remote, where that is a plain one."""
    pinned = collection.matrix.sources.get(source)
    for mirror in pinned.mirrors if pinned is not None else ():
        match = _GIT.fullmatch(mirror.git or "")
        if match is not None:
            return match[1]
    return None


def _proof(project: ProjectEntry) -> str:
    """Say whether every bundle's source was proved equal to the commit."""
    bundles = [entry for platform in project.platforms.values() for entry in platform.variants.values()]
    if not bundles:
        return "; nothing is released of it"
    unproven = sum(not entry.attest.source_proven for entry in bundles)
    if unproven:
        return f"; NOT proved equal to that commit for {count(unproven, 'bundle')}"
    return ", its content proved equal to that commit"


def _missing(manifest: Manifest) -> Part | None:
    if not manifest.missing:
        return None
    by_reason: dict[str, list[str]] = {}
    for gap in manifest.missing:
        by_reason.setdefault(gap.reason, []).append(gap.cell)
    rows = tuple(
        f"- {', '.join(code(name) for name in sorted(cells))}: {inert(reason)}\n"
        for reason, cells in sorted(by_reason.items(), key=lambda pair: sorted(pair[1]))
    )
    number = count(len(manifest.missing), "cell")
    head = f"## Not in this release\n\n{number} of the matrix, and what each still needs:\n\n"
    return Part(head=head, rows=rows, worth=_WORTH["missing"], noun="reason")


def _fine_print(manifest: Manifest) -> Part:
    head = (
        f"## Manifest\n\n- version {manifest.manifest_version} of epoch {manifest.epoch}, "
        f"made {manifest.generated_at}, to be fetched anew after {manifest.expires_at}\n"
    )
    rows = tuple(f"- revoked: {code(gone.sha256)}: {inert(gone.reason)}\n" for gone in manifest.revoked)
    return Part(head=head, rows=rows, worth=_WORTH["revoked"], noun="revoked archive")
