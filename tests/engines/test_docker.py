from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
from docker.errors import APIError, DockerException, NotFound

from pipeline.engines import container as container_module
from pipeline.engines import ownership
from pipeline.engines.base import Cancel, Ending, Folder, Job
from pipeline.engines.container import remove_container
from pipeline.engines.docker import DockerEngine, connect, store_label
from pipeline.engines.owner import this_process
from pipeline.errors import EngineError
from tests.engines.fake_docker import FakeClient, FakeContainer, frame
from tests.engines.lab import child_environment, lines_of, promise, run, shell, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient


@pytest.fixture(autouse=True)
def _not_root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.node.get_closest_marker("docker"):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setattr(os, "getegid", lambda: 100)


@pytest.fixture
def fakes() -> Iterator[list[FakeContainer]]:
    made: list[FakeContainer] = []
    yield made
    for each in made:
        each.close()


def _engine(tmp_path: Path, client: FakeClient) -> DockerEngine:
    return DockerEngine(tmp_path / "store", cast("DockerClient", client))


def _play(tmp_path: Path, fakes: list[FakeContainer], job: Job, **script: object) -> tuple[DockerEngine, FakeContainer]:
    fakes.append(FakeContainer(**script))
    return _engine(tmp_path, FakeClient(fakes[-1])), fakes[-1]


def test_output_frames_become_lines_and_streams_do_not_mix(tmp_path: Path, fakes: list[FakeContainer]) -> None:
    job = shell(tmp_path, "x", image="i", outputs=(promise("a"),))
    output = frame(b"one\ntw") + frame(b"warning", 2) + frame(b"o\n") + frame(b"!\n", 2) + frame(b"end")
    engine, container = _play(tmp_path, fakes, job, output=output)
    container.leaves = tmp_path / "out" / "a"
    result = run(engine, job)
    assert (result.ending, result.message) == (Ending.OK, "done")
    assert lines_of(job) == ["one", "two", "warning!", "end"]
    assert container.calls[0] == "attach"
    assert container.calls[-2:] == ["reload", "remove"]


def test_a_long_line_without_an_end_is_not_held_back_for_ever(tmp_path: Path, fakes: list[FakeContainer]) -> None:
    job = shell(tmp_path, "x", image="i")
    engine, _ = _play(tmp_path, fakes, job, output=frame(b"a" * 70_000) + frame(b"b\n", 2))
    assert run(engine, job).ending is Ending.OK
    assert [line[0] for line in lines_of(job)] == ["a"]


def test_what_a_container_is_made_with(tmp_path: Path, fakes: list[FakeContainer]) -> None:
    source = Folder(name="SOURCE", path=tmp_path)
    job = shell(tmp_path, "{SOURCE}", image="i", cpus=64, extra=(source,), environment={"A": "b"})
    fakes.append(FakeContainer())
    client = FakeClient(fakes[-1])
    assert run(_engine(tmp_path, client), job).ending is Ending.OK
    made = client.created
    assert (made["entrypoint"], made["command"]) == (["sh"], ["-c", "/llamatrix/source"])
    assert (made["user"], made["network_mode"], made["read_only"], made["init"]) == ("1000:100", "none", True, True)
    assert (made["cap_drop"], made["security_opt"]) == (["ALL"], ["no-new-privileges"])
    assert made["mem_limit"] == made["memswap_limit"] == job.memory
    assert made["nano_cpus"] == 2 * 10**9
    assert made["working_dir"] == "/llamatrix/out"
    assert [(mount["Target"], mount["ReadOnly"]) for mount in made["mounts"]] == [
        ("/llamatrix/out", False),
        ("/llamatrix/source", True),
    ]
    assert set(made["environment"]) == {
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "TZ",
        "LLAMATRIX_OUT",
        "LLAMATRIX_SOURCE",
        "A",
    }
    assert made["labels"]["llamatrix.store"] == store_label(tmp_path / "store")
    assert made["labels"]["llamatrix.owner"] == this_process()


def test_network_rootless_and_remapped_users(tmp_path: Path, fakes: list[FakeContainer]) -> None:
    for security, user, userns in ((["name=rootless"], "0:0", None), (["name=userns"], "1000:100", "host")):
        fakes.append(FakeContainer())
        client = FakeClient(fakes[-1], security=security)
        run(_engine(tmp_path, client), shell(tmp_path, "x", image="i", network=True, folders=()))
        assert (client.created["user"], client.created["userns_mode"]) == (user, userns)
        assert client.created["network_mode"] == "bridge"
        assert client.created["working_dir"] == "/tmp"


@pytest.mark.parametrize(
    ("script", "expected", "message"),
    [
        ({"ends": 2, "output": frame(b"why\n")}, (Ending.FAILED, 2), "sh exited with status 2; its last line: why"),
        ({"ends": 137}, (Ending.FAILED, 137), "sh was killed by SIGKILL; it printed nothing"),
        ({"ends": 0, "oom": True}, (Ending.OUT_OF_MEMORY, 0), "sh ran out of its 0.25 GiB of memory"),
        ({"ends": 0}, (Ending.NO_OUTPUT, 0), "sh succeeded, but it did not leave a"),
    ],
)
def test_how_a_job_can_fail(
    tmp_path: Path, fakes: list[FakeContainer], script: dict[str, Any], expected: tuple[Ending, int], message: str
) -> None:
    job = shell(tmp_path, "x", image="i", outputs=(promise("a"),))
    engine, container = _play(tmp_path, fakes, job, **script)
    result = run(engine, job)
    assert (result.ending, result.exit_code) == expected
    assert result.message.startswith(message)
    assert container.calls[-1] == "remove"


def test_deadline_and_cancellation_kill_and_remove(tmp_path: Path, fakes: list[FakeContainer]) -> None:
    job = shell(tmp_path, "x", image="i", deadline=0.2)
    engine, container = _play(tmp_path, fakes, job, ends=None)
    result = run(engine, job)
    assert result.ending is Ending.TIMED_OUT
    assert "the deadline of 0.2 s passed; everything it started was ended" in result.message
    assert container.calls[-3:] == ["kill", "reload", "remove"]
    cancel = Cancel()
    job = shell(tmp_path, "x", image="i")
    engine, container = _play(tmp_path, fakes, job, ends=None, output=frame(b"x\n"))
    result = engine.run(job, on_line=lambda _: cancel.set(), cancel=cancel)
    assert (result.ending, container.calls[-1]) == (Ending.CANCELLED, "remove")
    assert engine.run(job, on_line=print, cancel=cancel).message == "cancelled before it started"


def test_a_container_docker_does_not_end_holds_up_nothing(
    tmp_path: Path, fakes: list[FakeContainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_module, "_KILL_SECONDS", 0.2)
    job = shell(tmp_path, "x", image="i", deadline=0.2)
    errors = {"remove": APIError("busy"), "kill": APIError("not running")}
    engine, _ = _play(tmp_path, fakes, job, ends=None, deaf=True, errors=errors)
    result = run(engine, job)
    assert result.ending is Ending.TIMED_OUT
    assert "the deadline of 0.2 s passed; but Docker did not end container" in result.message
    assert result.tail == (
        "[llamatrix] Docker did not end container llamatrix-fake in time",
        "[llamatrix] container llamatrix-fake stays behind: cannot remove the container: busy",
    )


@pytest.mark.parametrize("step", ["attach", "start", "wait", "reload"])
@pytest.mark.parametrize(
    "error", [requests.ConnectionError("reset"), APIError("500"), DockerException("x"), OSError(5, "x")]
)
def test_a_docker_engine_that_dies_is_an_error_not_a_hang(
    tmp_path: Path, fakes: list[FakeContainer], step: str, error: Exception
) -> None:
    job = shell(tmp_path, "x", image="i")
    engine, container = _play(tmp_path, fakes, job, errors={step: error})
    with pytest.raises(EngineError, match="a test job: the Docker engine failed the job: ") as caught:
        run(engine, job)
    assert caught.value.hint == "is Docker still running?"
    assert container.calls[-1] == "remove"


def test_an_image_that_is_not_there_or_not_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no image i in this Docker engine"):
        run(_engine(tmp_path, FakeClient()), shell(tmp_path, "x", image="i"))
    with pytest.raises(EngineError, match="names no container image"):
        run(_engine(tmp_path, FakeClient()), shell(tmp_path, "x"))


def test_engines_that_cannot_be_used(tmp_path: Path) -> None:
    client = FakeClient(api="1.40")
    with pytest.raises(EngineError, match=r"too old: its API is 1\.40, 1\.41 is needed"):
        _engine(tmp_path, client)
    assert client.closed
    with pytest.raises(EngineError, match="runs windows containers"):
        _engine(tmp_path, FakeClient(os="windows"))
    with pytest.raises(EngineError, match="the Docker engine does not answer: gone"):
        _engine(tmp_path, FakeClient(error=requests.ConnectionError("gone")))


@pytest.mark.process
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_connect_says_when_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="the Docker engine does not answer"):
        connect(f"unix://{tmp_path}/none.sock")
    # The SDK forgets to close the socket it could not connect.
    gc.collect()


def test_sweep_takes_dead_runs_of_this_store_only(tmp_path: Path, fakes: list[FakeContainer]) -> None:
    pid, start, namespace, boot = this_process().split(".")
    dead, alive, unknown = (
        FakeContainer(labels={"llamatrix.owner": owner})
        for owner in (f"{pid}.{start}1.{namespace}.{boot}", this_process(), "")
    )
    fakes += [dead, alive, unknown]
    client = FakeClient()
    client.existing = [dead, alive, unknown]
    engine = _engine(tmp_path, client)
    assert engine.sweep() == ("container llamatrix-fake",)
    assert (dead.calls, alive.calls, unknown.calls) == (["remove"], [], [])
    assert client.filters == [{"label": f"llamatrix.store={store_label(tmp_path / 'store')}"}]


def test_close_removes_what_this_run_left(tmp_path: Path, fakes: list[FakeContainer]) -> None:
    fakes.append(FakeContainer())
    client = FakeClient()
    client.existing = [fakes[-1]]
    engine = _engine(tmp_path, client)
    engine.close()
    assert (fakes[-1].calls, client.closed) == (["remove"], True)
    assert client.filters[0]["label"].startswith("llamatrix.run=")
    client.error, client.closed = requests.ConnectionError("gone"), False
    engine.close()
    assert client.closed


def test_removing_what_is_already_going(fakes: list[FakeContainer]) -> None:
    for error in (NotFound("x"), APIError("removal of container x is already in progress")):
        fakes.append(FakeContainer(errors={"remove": error}))
        remove_container(cast("Any", fakes[-1]))


# With a real engine.


@pytest.fixture
def real(tmp_path: Path, client: DockerClient) -> Iterator[DockerEngine]:
    engine = DockerEngine(tmp_path / "store", connect(), pids_limit=64)
    yield engine
    assert engine._labelled("llamatrix.store") == []
    engine.close()


@pytest.mark.docker
def test_hardening_seen_from_inside(
    real: DockerEngine, tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret-of-the-caller")
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x", encoding="utf-8")
    # Anyone may write there as far as the modes go: what refuses is the mount.
    source.chmod(0o777)
    (source / "file").chmod(0o666)
    script = """
        grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
        ls /sys/class/net | xargs echo net:
        touch /root-is-writable 2>/dev/null && echo WRITABLE root
        touch {SOURCE}/x 2>/dev/null && echo WRITABLE source
        (echo x >> {SOURCE}/file) 2>/dev/null && echo WRITABLE file
        test "$(id -u)" != 0 && echo user
        cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | sed 's/^/pids: /'
        printf '#!/bin/sh\\necho tmp runs\\n' > /tmp/x && chmod +x /tmp/x && /tmp/x
        grep -c secret-of-the-caller /proc/*/environ | grep -v ':0'
        (echo > /dev/tcp/192.0.2.1/80) 2>/dev/null && echo NETWORK
        cat /proc/net/route | wc -l | sed 's/^/routes: /'
        ls -A /var/run/docker.sock 2>/dev/null
        umask; pwd; echo $HOME $TMPDIR; echo x > made; ls -A /proc/self/fd/0 -l | grep -c /dev/null
    """
    job = shell(tmp_path, script, image=image, argv=("bash", "-c", script), extra=(Folder(name="SOURCE", path=source),))
    result = run(real, job)
    assert result.message == "done"
    assert [line.replace("\t", " ") for line in lines_of(job)] == [
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "net: lo",
        "user",
        "pids: 64",
        "tmp runs",
        "routes: 1",
        "0022",
        "/llamatrix/out",
        "/tmp /tmp",
        "1",
    ]
    assert (source / "file").read_text(encoding="utf-8") == "x"


@pytest.mark.docker
def test_what_a_job_makes_belongs_to_the_caller(real: DockerEngine, tmp_path: Path, image: str) -> None:
    (tmp_path / "out" / "old").mkdir(parents=True)
    script = "mkdir -p old/d; cp /bin/true old/d/a; chmod 4755 old/d/a; ln -s /etc/shadow link; touch b; chmod 0 b"
    job = shell(tmp_path, script, image=image, outputs=(promise("old/d/a"),))
    assert run(real, job).message == "done"
    for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")):
        assert path.lstat().st_uid == os.geteuid(), path
    assert (tmp_path / "out" / "old" / "d" / "a").stat().st_mode & 0o777 == 0o755
    if os.geteuid() == 0:
        assert (tmp_path / "out" / "old" / "d" / "a").stat().st_mode & 0o7000 == 0


@pytest.mark.docker
def test_a_real_deadline_removes_the_container(real: DockerEngine, tmp_path: Path, image: str) -> None:
    result = run(
        real, shell(tmp_path, "echo begun; trap '' TERM INT; sleep 600 & wait; sleep 600", image=image, deadline=2)
    )
    assert result.ending is Ending.TIMED_OUT
    assert result.tail == ("begun",)


@pytest.mark.docker
def test_real_cancellation(real: DockerEngine, tmp_path: Path, image: str) -> None:
    cancel = Cancel()
    job = shell(tmp_path, "echo begun; sleep 600", image=image)
    assert real.run(job, on_line=lambda _: cancel.set(), cancel=cancel).ending is Ending.CANCELLED


@pytest.mark.docker
@pytest.mark.parametrize("script", ["tail /dev/zero", "tail /dev/zero; true"])
def test_real_out_of_memory_even_with_exit_status_0(
    real: DockerEngine, tmp_path: Path, image: str, script: str
) -> None:
    result = run(real, shell(tmp_path, script, image=image, memory=64 * 2**20))
    assert result.ending is Ending.OUT_OF_MEMORY
    assert "ran out of its 0.06 GiB of memory" in result.message


@pytest.mark.docker
def test_a_fork_bomb_meets_the_limit(real: DockerEngine, tmp_path: Path, image: str) -> None:
    script = "i=0; while [ $i -lt 200 ]; do sleep 600 & i=$((i+1)); done"
    result = run(real, shell(tmp_path, script, image=image))
    assert result.ending is Ending.FAILED
    assert "fork" in result.message.lower()


@pytest.mark.docker
def test_a_real_flood_loses_neither_the_beginning_nor_the_end(real: DockerEngine, tmp_path: Path, image: str) -> None:
    job = shell(tmp_path, "seq 1 300000; echo error >&2; echo end", image=image, deadline=120)
    assert run(real, job).ending is Ending.OK
    lines = lines_of(job)
    # The two streams keep no order between them, but neither loses a line.
    assert lines.count("error") == 1
    lines.remove("error")
    assert lines == [*map(str, range(1, 300_001)), "end"]


@pytest.mark.docker
def test_commands_that_cannot_start_and_outputs_that_are_missing(
    real: DockerEngine, tmp_path: Path, image: str
) -> None:
    result = run(real, shell(tmp_path, "", argv=("no-such-program", "x"), image=image))
    assert (result.ending, result.exit_code) == (Ending.FAILED, 127)
    assert "no-such-program" in result.message
    result = run(real, shell(tmp_path, "true", image=image, outputs=(promise("a"),)))
    assert (result.ending, result.message) == (Ending.NO_OUTPUT, "sh succeeded, but it did not leave a")
    with pytest.raises(EngineError, match="there is no image llamatrix/none"):
        run(real, shell(tmp_path, "true", image="llamatrix/none"))


@pytest.mark.docker
def test_a_shared_folder_goes_back_after_the_last_job(real: DockerEngine, tmp_path: Path, image: str) -> None:
    assert run(real, shell(tmp_path, "echo 1 > a", image=image)).ending is Ending.OK
    assert run(real, shell(tmp_path, "echo 2 > a", image=image)).ending is Ending.OK
    assert real._ownership._loans == {}


@pytest.mark.docker
def test_what_a_killed_tool_leaves_is_swept(tmp_path: Path, image: str, real: DockerEngine) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.engines.lab import run, shell;"
        "from pipeline.engines.docker import DockerEngine; tmp = Path(sys.argv[1]);"
        "run(DockerEngine(tmp / 'store'), shell(tmp, 'echo begun; sleep 600', image=sys.argv[2]))"
    )
    tool = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), image], env=child_environment())
    log = tmp_path / "log.txt"
    other = DockerEngine(tmp_path / "other", connect())
    try:
        assert wait_until(lambda: log.exists() and log.read_bytes() == b"begun\n")
        assert real.sweep() == ()
    finally:
        tool.kill()
        tool.wait()
    assert len(real._labelled("llamatrix.store")) == 1
    assert other.sweep() == ()
    other.close()
    (swept,) = real.sweep()
    assert swept.startswith("container llamatrix-")
    assert real.sweep() == ()


@pytest.mark.docker
def test_root_never_runs_as_root_inside() -> None:
    assert ownership.JOB_ID != 0
    assert not ownership.Ownership.user().startswith("0:")
