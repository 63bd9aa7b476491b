"""The guard: a tiny process between the tool and a job, which ends the job's whole tree when it has to.

It is started by path with ``python -I -S`` and imports a few modules of the standard library only, so it is there in
some 20 ms. Its standard input is a pipe the tool holds: a byte or the end of it, which also comes when the tool is
killed with SIGKILL, means stop. On Linux the guard is a *child subreaper*: a process that daemonises itself becomes
the guard's child and is found again. On macOS there is nothing like it; there the process group is ended.

Protocol: ``guard.py REPORT_FD GRACE -- COMMAND...``; on REPORT_FD it writes ``started PID``, then ``ended STATUS
STRAGGLERS SURVIVORS`` with the wait status of the command, or ``unstartable ERRNO``.
"""

from __future__ import annotations

__all__ = ["descendants", "main"]

import ctypes
import os
import select
import signal
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36
_KILL_SECONDS = 10.0
_STEP = 0.02
_CONTROL = 0
_COMMAND_AT = 3


def descendants(root: int) -> list[int]:
    """List the living processes below ``root``, read from /proc; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - importing pathlib would double the start-up time
    except OSError:
        return []
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        pid = int(name)
        children.setdefault(int(fields[1]), []).append(pid)
        if fields[0] in (b"Z", b"X"):
            zombies.add(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return [pid for pid in found if pid not in zombies]


def _become_subreaper() -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "prctl(PR_SET_CHILD_SUBREAPER)")


class _Tree:
    """The command and everything below it."""

    def __init__(self, leader: int, wake: int) -> None:
        self.leader = leader
        self.status: int | None = None
        self._wake = wake

    def reap(self) -> None:
        """Collect every child that ended, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.leader:
                self.status = status

    def alive(self) -> list[int]:
        """List what still runs."""
        found = descendants(os.getpid())
        if not found and self.status is None:
            return [self.leader]
        return found

    def rest(self, seconds: float) -> None:
        """Sleep until a child ends or ``seconds`` pass, then reap."""
        if select.select([self._wake], [], [], seconds)[0]:
            os.read(self._wake, 512)
        self.reap()

    def signal(self, pids: list[int], number: int) -> None:
        """Send a signal to each process and, while it lasts, to the leader's group."""
        for pid in pids:
            try:
                os.kill(pid, number)
            except OSError:
                continue
        if self.status is None:
            try:
                os.killpg(self.leader, number)
            except OSError:
                return

    def end(self, grace: float) -> tuple[int, int]:
        """End all of it; give how many processes were still there, and how many could not be ended."""
        self.reap()
        first = self.alive()
        if first:
            self.signal(first, signal.SIGTERM)
            self.signal(first, signal.SIGCONT)
        until = time.monotonic() + grace
        while self.alive() and time.monotonic() < until:
            self.rest(_STEP)
        until = time.monotonic() + _KILL_SECONDS
        while (left := self.alive()) and time.monotonic() < until:
            # Freeze before killing: something that forks faster than it is killed would never end.
            frozen: set[int] = set()
            while (new := [pid for pid in left if pid not in frozen]) and time.monotonic() < until:
                self.signal(new, signal.SIGSTOP)
                frozen.update(new)
                left = self.alive()
            self.signal(sorted(frozen), signal.SIGKILL)
            self.rest(_STEP)
        return len(first), len(self.alive())


def _report(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, text.encode() + b"\n")
    except OSError:
        # The tool is dead and nobody reads; the work goes on all the same.
        return


def _spawn(argv: list[str]) -> int:
    null = os.open(os.devnull, os.O_RDONLY)
    ours = (
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGXFSZ,
    )
    try:
        return os.posix_spawnp(
            argv[0],
            argv,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, null, 0)],
            setsid=True,
            setsigdef=ours,
            setsigmask=[],
        )
    finally:
        os.close(null)


def main(arguments: list[str]) -> int:
    """Run the command to its end or until told to stop; see the module for the protocol."""
    report = int(arguments[0])
    grace = float(arguments[1])
    os.set_inheritable(report, False)  # noqa: FBT003 - the function takes no keyword
    _become_subreaper()
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        # Only the byte in the wake-up pipe matters.
        signal.signal(number, lambda *_: None)
    try:
        leader = _spawn(arguments[_COMMAND_AT:])
    except OSError as error:
        _report(report, f"unstartable {error.errno}")
        return 0
    _report(report, f"started {leader}")
    tree = _Tree(leader, wake)
    while tree.status is None:
        ready = select.select([_CONTROL, wake], [], [])[0]
        if wake in ready and signal.SIGTERM in os.read(wake, 512):
            break
        if _CONTROL in ready:
            break
        tree.reap()
    stragglers, survivors = tree.end(grace)
    # A leader that cannot be ended has no status; 9 is what it will die of.
    _report(report, f"ended {tree.status if tree.status is not None else 9} {stragglers} {survivors}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
