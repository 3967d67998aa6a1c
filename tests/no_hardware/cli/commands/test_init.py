"""`hil init -- COMMAND`, and any `hil` command, as a container's first process: guards outlive the run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from hil.dutlink.timing import until
from hil.lab.safe_state.record import BoardState, read_record
from tests.support.programs import program, running

pytestmark = pytest.mark.thorough  # processes
HIL = [sys.executable, "-m", "hil.cli.main"]
APART = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
USER_APART = [*APART, "--user", "--map-root-user"]
LIMIT_S = 60
NEEDS_NAMESPACES = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a PID namespace needs root and unshare"
)

HOLDER = """
import os, sys
from pathlib import Path
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety
folder = Path(sys.argv[1])
safety = Safety("tests.support.fake_board:switch_off", {"board": str(folder / "board")}, limit_s=9)
lease = under_guard(acquire("5a1c0e01", folder=folder), safety)
(folder / "board").write_text("busy")  # its guard needs a moment longer
%s
"""
DEATHS = {"exit": "os._exit(3)", "kill": "os.kill(os.getpid(), 9)"}


def holder(folder: Path, death: str) -> list[str]:
    return [sys.executable, "-c", HOLDER % death, str(folder)]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=LIMIT_S
    )


def processes_with(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return found


@NEEDS_NAMESPACES
@pytest.mark.parametrize("apart", [APART, USER_APART], ids=["PID namespace", "user namespace"])
@pytest.mark.parametrize(("death", "status"), [("exit", 3), ("kill", 128 + 9)])
def test_init_ends_only_when_the_guard_has_made_the_board_safe(
    tmp_path: Path, apart: list[str], death: str, status: int
) -> None:
    ran = run(*apart, *HIL, "init", "--", *holder(tmp_path, DEATHS[death]))

    assert (ran.returncode, ran.stderr) == (status, "")
    assert (tmp_path / "board").read_text() == "off"
    assert read_record(tmp_path, "5a1c0e01").state is BoardState.SAFE


@NEEDS_NAMESPACES
def test_init_waits_for_the_guard_of_a_run_below_a_shell(tmp_path: Path) -> None:
    script = " ".join(f"'{word}'" for word in holder(tmp_path, DEATHS["kill"]))

    ran = run(*APART, *HIL, "init", "--", "sh", "-c", f"{script}; exit 5")

    assert (ran.returncode, (tmp_path / "board").read_text()) == (5, "off")


@NEEDS_NAMESPACES
def test_without_init_a_guard_ends_with_its_container(tmp_path: Path) -> None:
    ran = run(*APART, *holder(tmp_path, DEATHS["exit"]))

    assert (ran.returncode, (tmp_path / "board").read_text()) == (3, "busy")
    assert read_record(tmp_path, "5a1c0e01").state is BoardState.IN_USE


def test_init_works_where_it_is_not_the_first_process(tmp_path: Path) -> None:
    ran = run(*HIL, "init", "--", *holder(tmp_path, DEATHS["kill"]))

    assert (ran.returncode, (tmp_path / "board").read_text()) == (128 + 9, "off")


def test_init_says_which_guards_it_leaves(tmp_path: Path) -> None:
    late = "(folder / 'board').write_text('silent'); os._exit(0)"

    ran = run(*HIL, "init", "--guards", "0.2", "--", *holder(tmp_path, late))
    (tmp_path / "board").write_text("on")

    assert ran.returncode == 1
    assert "still try to make a board safe" in ran.stderr
    assert until(lambda: (tmp_path / "board").read_text() == "off", LIMIT_S)


def test_init_ends_processes_that_its_command_left() -> None:
    seconds = str(1_000_000 + os.getpid())  # its mark, among all the processes of this machine
    ran = run(*HIL, "init", "--", "sh", "-c", f"setsid sleep {seconds} & trap '' TERM; exit 7")

    assert (ran.returncode, processes_with(seconds)) == (7, [])


@pytest.mark.parametrize(("command", "status"), [("nonesuch-program", 127), ("/", 126)])
def test_init_says_what_cannot_be_run(command: str, status: int) -> None:
    ran = run(*HIL, "init", "--", command)

    assert (ran.returncode, f"{command} cannot be run" in ran.stderr) == (status, True)
    assert ran.stderr.splitlines()[-1].startswith("  try: name a program on PATH")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_init_passes_signals_on(number: signal.Signals) -> None:
    trap = f"trap 'exit 9' {number.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.1; done"
    with running(
        [*HIL, "init", "--", "sh", "-c", trap], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)

        assert process.wait(LIMIT_S) == 9


def test_init_without_a_command_has_nothing_to_run() -> None:
    assert run(*HIL, "init", "--").returncode == 2


FIRST = program(__file__, "init_first")


@NEEDS_NAMESPACES
def test_hil_as_pid_1_runs_in_a_child_reaps_and_waits_for_guards(tmp_path: Path) -> None:
    then = holder(tmp_path, DEATHS["exit"])[1:]

    ran = run(*APART, sys.executable, "-c", textwrap.dedent(FIRST), tmp_path / "pid", *then)

    assert (ran.returncode, ran.stderr) == (3, "")
    assert (tmp_path / "pid").read_text() != "1"
    assert (tmp_path / "board").read_text() == "off"
