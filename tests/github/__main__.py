"""``python -m tests.github``: the fake GitHub on its own. Its address is the first line; it runs until SIGTERM."""

from __future__ import annotations

import argparse
import pickle
import signal
from pathlib import Path

from tests.github.fake import FakeGitHub
from tests.github.state import Access, Token


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.github", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1 (default: any free port)")
    parser.add_argument("--repo", default="o/r", metavar="OWNER/NAME")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="NAME=COMMIT", help="a tag that exists; again for more"
    )
    parser.add_argument("--token", help="the one token that may push (default: the tests' tokens)")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="where bodies above 32 MiB go (default: they are counted)"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="where every exchange is kept, for the contract")
    arguments = parser.parse_args()
    tags = {}
    for tag in arguments.tag:
        name, equals, commit = tag.rpartition("=")
        if not equals or len(commit) != 40:
            parser.error(f"--tag {tag}: NAME=COMMIT with 40 hex digits is needed")
        tags[name] = commit
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    tokens = None if arguments.token is None else {arguments.token: Token(login="publisher", access=Access.PUSH)}
    # Blocked before the first thread starts, so that every thread leaves them to sigwait.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with FakeGitHub(arguments.repo, tags=tags, tokens=tokens, port=arguments.port, spool=arguments.keep) as fake:
        print(fake.url, flush=True)
        signal.sigwait(signals)
    if arguments.record is not None:
        arguments.record.write_bytes(pickle.dumps(fake.requests))


if __name__ == "__main__":
    main()
