"""Dangers that end a guard together with its run: a run and `hil doctor` report them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.lab.guard import survival
from hil.lab.guard.survival import find_dangers
from hil.lab.safe_state.record import BoardState, read_record
from tests.support.programs import program, running

if TYPE_CHECKING:
    from collections.abc import Iterator

APART = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
NEEDS_NAMESPACES = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a PID namespace needs root and unshare"
)
UNIFIED = next(
    (
        folder
        for folder in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
        if (folder / "cgroup.procs").exists() and os.access(folder, os.W_OK)
    ),
    None,
)


class Machine:
    """The files of a machine on which process 50 is a run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process(1, 0, "sh")
        self.process(40, 1, "bash")
        self.process(50, 40, "python3")
        self.namespace("pid:[4026532200]")

    def process(self, pid: int, parent: int, name: str, caps: str = "0" * 16) -> None:
        folder = self.root / f"proc/{pid}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "comm").write_text(f"{name}\n")
        (folder / "stat").write_text(f"{pid} ({name}) S {parent}{' 0' * 50}\n")
        (folder / "status").write_text(f"Name:\t{name}\nCapEff:\t{caps}\n")

    def namespace(self, name: str) -> None:
        link = self.root / "proc/50/ns/pid"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(name)

    def cgroup(self, path: str, oom_group_of: str = "") -> None:
        (self.root / "proc/50/cgroup").write_text(f"1:cpu:/elsewhere\n0::{path}\n")
        if oom_group_of:
            folder = self.root / "sys/fs/cgroup" / oom_group_of.lstrip("/")
            folder.mkdir(parents=True)
            (folder / "memory.oom.group").write_text("1\n")

    def told(self) -> str:
        return "; ".join(map(str, find_dangers(self.root, 50)))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", ["sh", "tini", "docker-init", "pytest", "python3"])
def test_first_process_of_a_container_that_waits_for_no_guard_is_a_danger(
    machine: Machine, name: str
) -> None:
    machine.process(1, 0, name)

    assert f"PID 1 of this container is {name}" in machine.told()
    assert "hil init -- COMMAND" in machine.told()


@pytest.mark.parametrize("name", ["hil-init", "systemd"])
def test_first_process_that_waits_is_no_danger(machine: Machine, name: str) -> None:
    machine.process(1, 0, name)

    assert not machine.told()


def test_first_process_of_the_machine_is_no_danger(machine: Machine) -> None:
    machine.namespace("pid:[4026531836]")

    assert not machine.told()


def test_first_process_of_a_container_that_the_run_was_put_into_is_no_danger(machine: Machine) -> None:
    machine.process(40, 0, "bash")

    assert not machine.told()


def test_run_that_is_the_first_process_is_a_danger(machine: Machine) -> None:
    assert "this process is PID 1" in str(find_dangers(machine.root, 1)[0])


def test_cgroup_that_ends_as_a_whole_is_a_danger(machine: Machine) -> None:
    machine.process(1, 0, "systemd")
    machine.cgroup("/kubepods/pod1/c1", oom_group_of="/kubepods/pod1")

    assert "cgroup /kubepods/pod1 has memory.oom.group" in machine.told()


def test_cgroup_that_ends_as_a_whole_spares_the_guards_of_root(machine: Machine) -> None:
    machine.process(1, 0, "systemd")
    machine.process(50, 40, "python3", caps="000001ffffffffff")
    machine.cgroup("/kubepods/pod1/c1", oom_group_of="/kubepods/pod1/c1")

    assert not machine.told()


@pytest.mark.parametrize(
    ("shown", "danger"),
    [
        ("KillMode=control-group\nExecStopPost=\n", False),
        ("KillMode=mixed\nExecStopPost=\n", True),
        ("KillMode=mixed\nExecStopPost={ argv[]=/srv/hil/bin/hil safe --all ; }\n", False),
    ],
)
def test_service_that_kills_what_its_first_process_leaves_is_a_danger(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, shown: str, danger: bool
) -> None:
    machine.process(1, 0, "systemd")
    machine.cgroup("/system.slice/ci.service")
    monkeypatch.setattr(survival, "_show", {"ci.service": shown}.get)

    assert ("ci.service has KillMode=mixed" in machine.told()) is danger


RUNS = {
    "pytest is PID 1": ([], "this run was PID 1 of its container"),
    "a shell is PID 1": (["sh", "-c", '"$@"; exit', "sh"], "PID 1 of this container is sh"),
    "hil init is PID 1": ([sys.executable, "-m", "hil.cli.main", "init", "--"], ""),
}


@NEEDS_NAMESPACES
@pytest.mark.thorough
@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["with a header", "-q"])
def test_run_in_a_container_says_before_its_first_test_what_becomes_of_its_guard(
    tmp_path: Path, pytestconfig: pytest.Config, how: str, quiet: tuple[str, ...]
) -> None:
    above, line = RUNS[how]
    shutil.copy(pytestconfig.rootpath / "conftest.py", tmp_path)
    (tmp_path / "test_any.py").write_text("def test_any():\n    pass\n")
    run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *quiet, str(tmp_path)]
    command = [*APART, *above, *run]
    both = subprocess.STDOUT
    ran = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=both, check=False, text=True, timeout=60, cwd=tmp_path
    )

    head = ran.stdout.partition("collected" if not quiet else "[100%]")[0]
    assert ran.returncode == 0, ran.stdout
    assert (head.count(line) == 1) if line else ("PID 1" not in head)


@NEEDS_NAMESPACES
@pytest.mark.thorough
@pytest.mark.parametrize("above", [[], ["sh", "-c", '"$@"; exit $?', "sh"]])
def test_doctor_in_a_container_says_what_would_become_of_a_guard(above: list[str]) -> None:
    doctor = [sys.executable, "-m", "hil.cli.main", "doctor"]
    ran = subprocess.run([*APART, *above, *doctor], capture_output=True, check=False, text=True, timeout=60)

    assert "hil init -- COMMAND" in ran.stdout


HOLDER = program(__file__, "survival_holder")


@pytest.fixture
def cgroup() -> Iterator[Path]:
    folder = UNIFIED / f"hil-test-{os.getpid()}" if UNIFIED else None
    try:
        if folder is None:
            pytest.skip("there is no cgroup v2 that this user may write")
        folder.mkdir()
    except OSError:
        pytest.skip("no cgroup can be made here")
    if not (folder / "cgroup.kill").exists():
        folder.rmdir()
        pytest.skip("this kernel cannot kill a cgroup")
    yield folder
    assert until(lambda: not (folder / "cgroup.procs").read_text(), 60)
    with suppress(OSError):
        folder.rmdir()


def test_cgroup_that_is_killed_leaves_the_board_to_its_next_holder(tmp_path: Path, cgroup: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path), str(cgroup)]
    with running(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "on\n"
        (cgroup / "cgroup.kill").write_text("1")

    assert until(lambda: not (cgroup / "cgroup.procs").read_text(), 60)
    assert (tmp_path / "board").read_text() == "on"
    assert read_record(tmp_path, "5a1c0e01").state is BoardState.IN_USE
