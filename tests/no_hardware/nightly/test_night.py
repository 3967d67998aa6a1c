"""A night: its folder, its end, and its record in the history."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.evidence.records import RunRecord
from hil.history.store import History
from hil.nightly.last_night import describe_last_night
from hil.nightly.night import ledger_in, simulated_boards
from hil.nightly.run_folder import (
    LATE,
    NightRecord,
    delete_old_folders,
    explain_status,
    marked_as_running,
    new_folder,
    newest_record,
)
from hil.nightly.tee_process import run_tee
from hil.suite.outcome.exit_status import Status
from tests.support.programs import has_ended, running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RUNS = pytest.mark.thorough  # runs of the suite
PASSES = "def test_passes(power): power.on()\n"
FLAKY = """
from pathlib import Path
def test_flaky(power):
    was_here = Path("was-here").exists()
    Path("was-here").touch()
    assert was_here
"""


ENDS_IN_C = """
import ctypes
def test_ends_in_c(power):
    power.on()
    getattr(ctypes.CDLL(None), "syscall")(231, 0)  # exit_group(0) of x86-64: no hook of Python sees it

def test_never_begins(power): assert False
"""


def run_hil(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hil.cli.main", *arguments]
    return subprocess.run(command, cwd=clone, capture_output=True, check=False, text=True, timeout=100)


def run_night(clone: Path, source: str, *more: str) -> subprocess.CompletedProcess[str]:
    (clone / "test_inner.py").write_text(source, "utf-8")
    return run_hil(clone, "nightly", "run", "--", "-n0", "--hil-boards=sim:1", *more)


def runs_of(clone: Path) -> list[RunRecord]:
    with History(clone / "nightly" / "history.db") as history:
        return history.runs()


@RUNS
@pytest.mark.parametrize(
    ("source", "more", "status"),
    [
        (PASSES, (), Status.GREEN),
        ("def test_fails(power): assert False", (), Status.TESTS_FAILED),
        (FLAKY, (), Status.FLAKY),
        (PASSES, ("--hil-boards=none",), Status.BENCH_NOT_READY),
        ("def test_plain(): pass", (), Status.NOTHING_RAN),
        (PASSES, ("--no-such-option",), 4),
        ("import no_such_module", (), 2),
    ],
    ids=["green", "failed", "flaky", "no board", "nothing", "option", "import"],
)
def test_run_night_exit_status_is_in_the_history(
    clone: Path, source: str, more: Sequence[str], status: int
) -> None:
    ran = run_night(clone, source, *more)

    (run,) = runs_of(clone)
    record = newest_record(clone / "nightly")
    assert record is not None
    assert (ran.returncode, run.exit_status, record.status) == (status, status, status), ran.stdout
    assert (run.kind, run.ended_s is not None, record.meaning) == ("nightly", True, explain_status(status))


@RUNS
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of the system call is this machine's")
def test_run_night_ended_by_c_code_with_status_0_is_red(clone: Path) -> None:
    ran = run_night(clone, ENDS_IN_C)

    assert (ran.returncode, runs_of(clone)[0].exit_status) == (Status.INTERRUPTED, Status.INTERRUPTED)
    assert "before its summary" in ran.stdout + ran.stderr


@RUNS
@pytest.mark.parametrize("more", [("--collect-only",), ("--co", "-q"), ("--setup-plan",)], ids=str)
def test_run_night_that_only_shows_tests_is_red(clone: Path, more: Sequence[str]) -> None:
    ran = run_night(clone, PASSES, *more)
    told = run_hil(clone, "nightly", "status", "--user")

    assert (ran.returncode, told.returncode) == (Status.NOTHING_RAN, Status.NOTHING_RAN), ran.stdout
    assert "no test ran on a board" in ran.stderr
    assert runs_of(clone)[0].exit_status == Status.NOTHING_RAN


@RUNS
def test_run_night_with_an_option_in_the_environment_that_only_shows_tests_is_red(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--setup-plan")

    ran = run_night(clone, PASSES)

    assert ran.returncode == Status.NOTHING_RAN, ran.stdout


@RUNS
@pytest.mark.parametrize("more", [("--no-summary", "-qq"), ("--junit-xml=",), ("--color=yes",)], ids=str)
def test_run_night_is_green_however_little_it_prints(clone: Path, more: Sequence[str]) -> None:
    ran = run_night(clone, PASSES, *more)

    assert ran.returncode == Status.GREEN, ran.stdout


@RUNS
def test_run_night_keeps_everything_in_its_folder(clone: Path) -> None:
    ran = run_night(clone, PASSES)

    kept = clone / "nightly" / "newest"
    assert (kept / "console.txt").read_text("utf-8") in ran.stdout
    assert "hardware: 1 planned, 1 ran" in (kept / "ledger.txt").read_text("utf-8")
    assert "hil_board" in (kept / "junit.xml").read_text("utf-8")
    assert list((kept / "report").rglob("*"))


@RUNS
def test_run_night_writes_the_page_of_all_nights(clone: Path) -> None:
    ran = run_night(clone, PASSES)

    page = clone / "nightly" / "report" / "index.html"
    assert f"no test fails: {page}" in ran.stdout + ran.stderr
    night = (clone / "nightly" / "newest").resolve().name
    assert f'href="../{night}/report/index.html"' in page.read_text("utf-8")
    assert "../../report/index.html" in (clone / "nightly" / night / "report" / "index.html").read_text(
        "utf-8"
    )


@RUNS
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_run_night_shows_an_uncollected_file_first(clone: Path, workers: str) -> None:
    (clone / "test_cannot.py").write_text("import no_such_module\n", "utf-8")

    ran = run_night(clone, PASSES, workers)
    told = run_hil(clone, "history", "--history", "nightly/history.db")

    page = (clone / "nightly" / "report" / "index.html").read_text("utf-8")
    assert "hil: SIMULATED: 1 file could not be collected, 1 new: " in ran.stdout + ran.stderr
    assert "no test fails" not in ran.stdout + ran.stderr
    assert "<title>SIMULATED: 1 file could not be collected" in page
    assert page.index("New failures") < page.index("test_cannot.py") < page.index("No module named")
    assert "test_cannot.py: could not be collected, new" in told.stdout


@RUNS
def test_run_night_that_pytest_refused_is_called_simulated(clone: Path) -> None:
    ran = run_night(clone, PASSES, "--no-such-option")

    assert "hil: SIMULATED: no test ran, pytest did not start: a wrong option, " in ran.stdout + ran.stderr


@RUNS
def test_run_night_on_too_few_boards_is_red(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIL_LAB")
    (clone / "lab.toml").write_text('[place.left]\nserial = "0df1ffff"\n', "utf-8")

    ran = run_night(clone, PASSES)
    told = run_hil(clone, "history")

    assert ran.returncode == Status.BENCH_NOT_READY, ran.stdout
    assert "NOT THE WHOLE LAB: place left, board 0df1ffff" in ran.stdout
    assert runs_of(clone)[0].expected_boards == 2  # that of the lab file, and the one that ran the test
    assert "1 of 2 boards were used" in told.stdout


@RUNS
def test_hil_nightly_run_json_prints_only_the_answer(clone: Path) -> None:
    (clone / "test_inner.py").write_text(PASSES, "utf-8")

    ran = run_hil(clone, "--json", "nightly", "run", "--", "-n0", "--hil-boards=sim:1")

    assert json.loads(ran.stdout)["status"] == 0
    assert "test session starts" in ran.stderr


@RUNS
def test_run_night_passes_ctrl_c_to_pytest_once(clone: Path) -> None:
    (clone / "test_inner.py").write_text(
        "import time\ndef test_waits(power):\n    for _ in range(600): time.sleep(0.1)\n", "utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "hil.cli.main",
        "nightly",
        "run",
        "--",
        "-n0",
        "--hil-boards=sim:1",
        "-v",
    ]
    with running(command, cwd=clone, stdout=subprocess.PIPE, text=True) as night:
        said = ""
        while "test_waits" not in said:
            said += night.stdout.read(1) or pytest.fail(said)
        night.send_signal(signal.SIGINT)
        rest, _ = night.communicate(timeout=60)

    assert night.returncode == pytest.ExitCode.INTERRUPTED
    assert "hil: hardware ledger" in rest
    assert runs_of(clone)[0].exit_status == pytest.ExitCode.INTERRUPTED


@RUNS
def test_run_night_killed_ends_pytest(clone: Path) -> None:
    source = "import os, time\ndef test_waits(power):\n    open('pid', 'w').write(str(os.getpid()))\n    "
    (clone / "test_inner.py").write_text(source + "time.sleep(60)\n", "utf-8")
    command = [sys.executable, "-m", "hil.cli.main", "nightly", "run", "--", "-n0", "--hil-boards=sim:1"]
    with running(command, cwd=clone, stdout=subprocess.DEVNULL) as night:
        pid = until(lambda: ((clone / "pid").is_file() and (clone / "pid").read_text("utf-8")) or None, 60)
        night.kill()

    assert until(lambda: has_ended(pid), 60)
    assert (runs_of(clone)[0].ended_s, describe_last_night(clone / "nightly")[1]) == (None, 1)


def test_new_folder_is_unique_and_newest_points_to_it(tmp_path: Path) -> None:
    folders = [new_folder(tmp_path) for _ in range(12)]

    assert len(set(folders)) == 12
    assert (tmp_path / "newest").resolve() == folders[-1].resolve()


def test_new_folder_leaves_a_file_named_newest(tmp_path: Path) -> None:
    (tmp_path / "newest").write_text("mine")

    new_folder(tmp_path)

    assert (tmp_path / "newest").read_text() == "mine"


def test_delete_old_folders_removes_only_old_nights(tmp_path: Path) -> None:
    nights = [f"2026-01-{day:02}T020000Z" for day in range(1, 9)] + ["2026-01-08T020000Z-2"]
    for name in (*nights, "my notes", "2026-01-01"):
        (tmp_path / name).mkdir()
    (tmp_path / "history.db").touch()

    removed = delete_old_folders(tmp_path, 3)

    assert [one.name for one in removed] == nights[:6]
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(
        [*nights[6:], "my notes", "2026-01-01", "history.db"]
    )


def test_newest_record_reads_back_a_record(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    record = NightRecord("2026-01-01T02:00:00+00:00", status=7, command=("a", "b"), folder=str(folder))

    record.write()

    assert newest_record(tmp_path) == record


@pytest.mark.parametrize(
    ("days_ago", "exit_status", "told"), [(0.5, 0, 0), (0.5, 7, 7), (0.5, None, 1), (2.0, 0, LATE)]
)
def test_last_night_is_described_with_its_status(
    tmp_path: Path, days_ago: float, exit_status: int | None, told: int
) -> None:
    now_s = 1_800_000_000.0
    with History(tmp_path / "history.db") as history:
        began_s = now_s - days_ago * 86_400
        ended_s = None if exit_status is None else began_s + 1
        history.begin_run(RunRecord("k", began_s, kind="nightly", ended_s=ended_s, exit_status=exit_status))

    assert describe_last_night(tmp_path, now_s)[1] == told


@pytest.mark.parametrize(("before", "told"), [((0,), 0), ((1,), 1), ((), LATE)])
def test_last_night_while_another_runs_is_the_one_that_ended(
    tmp_path: Path, before: tuple[int, ...], told: int
) -> None:
    now_s = time.time()
    with History(tmp_path / "history.db") as history:
        for at, status in enumerate(before):
            began_s = now_s - 5 * 86_400
            history.begin_run(RunRecord(f"k{at}", began_s, kind="nightly", ended_s=now_s, exit_status=status))
        history.begin_run(RunRecord("now", now_s - 60, kind="nightly"))
    folder = new_folder(tmp_path)
    NightRecord("2026-01-01T02:00:00+00:00", folder=str(folder)).write()

    with marked_as_running(folder):
        while_it_runs = describe_last_night(tmp_path)
    after_its_death = describe_last_night(tmp_path)

    assert (while_it_runs[1], "running since" in while_it_runs[0]["running"]) == (told, True)
    assert (after_its_death[1], "running" in after_its_death[0]) == (1, False)
    assert after_its_death[0]["meaning"] == "red: it was cut short"


@RUNS
def test_night_is_marked_as_running_until_its_process_ends(clone: Path) -> None:
    (clone / "test_inner.py").write_text("import time\ndef test_waits(power): time.sleep(60)\n", "utf-8")
    command = [sys.executable, "-m", "hil.cli.main", "nightly", "run", "--", "-n0", "--hil-boards=sim:1"]
    with running(command, cwd=clone, stdout=subprocess.DEVNULL) as night:
        assert until(lambda: "running" in describe_last_night(clone / "nightly")[0] or None, 60)
        night.kill()

    assert "running" not in describe_last_night(clone / "nightly")[0]


def test_last_night_without_any_night_is_described(tmp_path: Path) -> None:
    assert describe_last_night(tmp_path / "nowhere")[1] == LATE


def test_run_tee_status_names_the_signal(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os; print('x', flush=True); os.kill(os.getpid(), 9)"]

    status = run_tee(command, os.environ, tmp_path / "console.txt", io.BytesIO())

    assert status == 128 + 9
    assert (tmp_path / "console.txt").read_bytes() == b"x\n"
    assert explain_status(status) == "red: pytest was killed by signal 9"


def test_run_tee_ignores_a_closed_terminal(tmp_path: Path) -> None:
    gone = io.BytesIO()
    gone.close()

    status = run_tee([sys.executable, "-c", "print('kept')"], os.environ, tmp_path / "console.txt", gone)

    assert (status, (tmp_path / "console.txt").read_bytes()) == (0, b"kept\n")


def test_run_tee_restores_signal_handlers(tmp_path: Path) -> None:
    assert threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    run_tee([sys.executable, "-c", ""], os.environ, tmp_path / "console.txt", io.BytesIO())

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize(
    ("printed", "ledger"),
    [
        (
            "2 failed\n=== hil: hardware ledger ===\nboard 1\nno board 2\n=== summary ===\nF\n",
            "board 1\nno board 2\n",
        ),
        ("ended at once\n", "no ledger\n"),
    ],
    ids=["reported", "ended early"],
)
def test_ledger_in_extracts_the_ledger(printed: str, ledger: str) -> None:
    assert ledger_in(printed) == ledger


def test_run_night_reports_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "conftest.py").touch()

    ran = run_hil(tmp_path, "nightly", "run", "--folder", "file/nights", "--", "--version")

    assert (ran.returncode, "no night can be kept in" in ran.stderr) == (2, True), ran.stderr


def test_run_tee_goes_on_without_a_file(tmp_path: Path) -> None:
    shown = io.BytesIO()
    command = [sys.executable, "-c", "print('x' * 1_000_000)"]  # more than a pipe holds

    status = run_tee(command, os.environ, tmp_path / "no folder" / "console.txt", shown)

    assert (status, len(shown.getvalue())) == (0, 1_000_001)


@RUNS
@pytest.mark.parametrize(
    ("more", "status"),
    [((), Status.BENCH_NOT_READY), (("--simulated",), Status.GREEN)],
    ids=["left", "meant"],
)
def test_run_night_on_simulated_boards_by_environment_is_red_unless_asked(
    clone: Path, monkeypatch: pytest.MonkeyPatch, more: Sequence[str], status: int
) -> None:
    monkeypatch.setenv("HIL_BOARDS", "sim:1")
    (clone / "test_inner.py").write_text(PASSES, "utf-8")

    ran = run_hil(clone, "nightly", "run", *more, "--", "-n0")
    told = run_hil(clone, "nightly", "status", "--user")

    assert (ran.returncode, runs_of(clone)[0].exit_status) == (status, status), ran.stdout
    assert ran.stderr.splitlines()[0].startswith("hil: SIMULATED boards (sim:1)")
    assert "SIMULATED boards, " in ran.stdout + ran.stderr.splitlines()[-1]
    assert re.search(
        r"^The last night, of \d{4}-.*: SIMULATED boards, .*; it is kept in ", told.stdout, re.MULTILINE
    )
    assert runs_of(clone)[0].expected_boards == 0  # no lab file lists one
    night = clone / "nightly" / "newest" / "report"
    pages = [clone / "nightly" / "report" / "index.html", night / "index.html"]
    assert all("<title>SIMULATED: " in page.read_text("utf-8") for page in pages)
    assert (night / "summary.md").read_text("utf-8").startswith("## hil: SIMULATED: ")


@RUNS
@pytest.mark.parametrize(
    ("more", "status"),
    [((), Status.BENCH_NOT_READY), (("--simulated",), Status.GREEN)],
    ids=["left", "meant"],
)
@pytest.mark.parametrize("place", ["PYTEST_ADDOPTS", "pytest.ini"])
def test_run_night_on_simulated_boards_by_addopts_is_told_as_such(
    clone: Path, monkeypatch: pytest.MonkeyPatch, place: str, more: Sequence[str], status: int
) -> None:
    if place == "PYTEST_ADDOPTS":
        monkeypatch.setenv(place, "--hil-boards sim:1")
    else:
        (clone / place).write_text("[pytest]\naddopts = --hil-boards sim:1\n", "utf-8")
    (clone / "test_inner.py").write_text(PASSES, "utf-8")

    ran = run_hil(clone, "nightly", "run", *more, "--", "-n0")
    told = run_hil(clone, "nightly", "status", "--user")

    assert ran.returncode == status, ran.stdout
    assert "SIMULATED boards, " in ran.stdout + ran.stderr.splitlines()[-1]
    assert re.search(r"^The last night, of \d{4}-.*: SIMULATED boards, ", told.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("more", "environ", "boards"),
    [
        ((), {}, ""),
        ((), {"HIL_BOARDS": "sim:2"}, "sim:2"),
        (("--hil-boards", "usb"), {"HIL_BOARDS": "sim:2"}, ""),
        (("-k", "x", "--hil-boards=sim@99"), {}, "sim@99"),
        ((), {"PYTEST_ADDOPTS": "-v --hil-boards sim:3"}, "sim:3"),
        (("--hil-boards", "usb"), {"PYTEST_ADDOPTS": "--hil-boards=sim:3"}, ""),
    ],
)
def test_simulated_boards_are_those_that_pytest_will_use(
    more: Sequence[str], environ: dict[str, str], boards: str
) -> None:
    assert simulated_boards(more, environ) == boards


@RUNS
def test_run_night_commit_is_that_of_the_tests(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(clone))
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x")):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    elsewhere = tmp_path_factory.mktemp("nights")

    run_hil(clone, "nightly", "run", "--folder", str(elsewhere), "--", "--no-such-option")

    with History(elsewhere / "history.db") as history:
        (run,) = history.runs()
    assert run.commit == commit.strip()
