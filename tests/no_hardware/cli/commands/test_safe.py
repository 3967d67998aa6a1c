"""`hil safe`: boards made safe by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.sources import SimulatedSource, simulated_host
from hil.cli.commands import make_safe
from hil.cli.main import run
from hil.dutlink.board import open_driver
from hil.dutlink.discovery import ProbeResult
from hil.dutlink.timing import until
from hil.errors import BoardDeniedError, Verdict
from hil.lab.locks.acquire import acquire
from hil.lab.locks.holder import Holder
from hil.lab.locks.lease import holder_of
from hil.lab.locks.lock_file import lock_path
from hil.lab.locks.tickets import QUEUE_NAME
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import BoardRecord, BoardState, read_record, record_path, write_record
from tests.support.other_user import MALLORY, VICTIM, as_user, folder_for_everybody, only_root
from tests.support.programs import running, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes
OTHER = "0badb0a4"
ROOT = Path(__file__).parents[4]
UNIT = ROOT / "packaging" / "systemd" / "hil-safe.service"
SIMULATOR = {"boards": 2, "speed": 5}
SOON_S = 60.0
STOPPED_GUARD = """
import os, sys
from hil.lab.locks.acquire import acquire
lease = acquire(sys.argv[1])
open("/proc/self/comm", "w").write("hil-guard")
os.kill(os.getpid(), 19)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Path:
    """The lock folder of a machine whose boards are the simulated ones."""
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    for serial in simulator.serials():
        simulator.management.clear(serial)
    return tmp_path


@pytest.fixture
def serial(simulator: SimulatorProcess) -> str:
    """A board whose DUT is on, with its stick and a driven pin."""
    serial = simulator.serials()[0]
    with open_driver(simulated_host(simulator.ready), serial, console=False) as board:
        board.power.force_on()
        board.storage.dut()
        board.pins.low("c")
    return serial


def leave_in_use(folder: Path, serial: str) -> None:
    write_record(
        folder,
        serial,
        BoardRecord().marked_in_use(Holder.here()._replace(user="ada", pid=4711, command="pytest")),
    )


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def complaint(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().err)


def test_safe_switches_the_board_off_by_state_and_meter(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "safe", serial])

    truth = simulator.management.state(serial)
    assert (truth["supply"], truth["mux"], set(truth["pins_set"].values())) == (False, "off", {"floating"})
    assert (status, told(capsys)) == (
        0,
        {"board": serial, "outcome": "safe", "amps": pytest.approx(0, abs=0.02), "why": ""},
    )


def test_safe_records_a_board_as_safe_after_holder_and_guard_died(folder: Path, serial: str) -> None:
    leave_in_use(folder, serial)

    run(["safe", serial])

    record = read_record(folder, serial)
    assert (record.needs_safety, record.events[-1].by) == (False, "hil safe")
    assert "ada" in record.events[-1].why


def test_safe_fails_for_a_board_in_use(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with acquire(serial, test="test_boot"):
        status = run(["--json", "safe", "--wait", "0", serial])

    error = complaint(capsys)
    assert (status, error["error"], simulator.management.state(serial)["supply"]) == (
        1,
        "BoardBusyError",
        True,
    )
    assert "test_boot" in error["why"]
    assert "--wait SECONDS" in error["remedy"]


def test_safe_waits_for_a_board_in_use(serial: str) -> None:
    lease = acquire(serial)
    arguments = [sys.executable, "-m", "hil.cli.main", "safe", serial]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        told = process.stderr.readline()
        lease.release()
        process.communicate(timeout=60)
    finally:
        process.kill()

    assert (process.returncode, "waiting" in told) == (0, True)


def test_safe_of_an_unknown_board_leaves_no_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--json", "safe", OTHER])

    assert (status, complaint(capsys)["error"]) == (1, "BoardAbsentError")
    assert list(folder.iterdir()) == []


def test_safe_of_a_board_that_refuses_leaves_it_unsafe_on_record(
    simulator: SimulatorProcess,
    folder: Path,
    serial: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def safety(source: SimulatedSource) -> Safety:
        return Safety(arguments={"host": source.host().recipe}, limit_s=0.0)

    monkeypatch.setattr(SimulatedSource, "safety", safety)
    monkeypatch.setattr(
        make_safe, "probe", lambda _host, serial, _limit_s: ProbeResult(Verdict.PRESENT, serial)
    )
    simulator.management.fault(serial, "stall", count=1000)

    status = run(["--json", "safe", serial])

    assert (status, complaint(capsys)["error"]) == (1, "BoardFaultError")
    assert read_record(folder, serial).needs_safety


def test_safe_needs_a_board_if_there_are_several(
    simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "safe"])

    error = complaint(capsys)
    assert status == 2
    assert all(serial in error["why"] for serial in simulator.serials())


def test_safe_all_makes_every_board_safe(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "safe", "--all"])

    outcomes = {row["board"]: row["outcome"] for row in told(capsys)}
    assert (status, outcomes) == (0, dict.fromkeys(simulator.serials(), "safe"))
    assert not simulator.management.state(serial)["supply"]


def test_safe_all_lists_an_absent_board_on_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_safe, "list_boards", lambda *_: [])
    leave_in_use(folder, OTHER)

    status = run(["--json", "safe", "--all"])

    assert (status, [(row["board"], row["outcome"]) for row in told(capsys)]) == (0, [(OTHER, "absent")])
    assert read_record(folder, OTHER).needs_safety


def test_safe_all_does_not_count_a_board_that_another_run_uses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_safe, "list_boards", lambda *_: [])
    leave_in_use(folder, OTHER)

    with acquire(OTHER):
        run(["--json", "safe", "--all"])

    assert told(capsys) == []


def test_safe_all_fails_for_a_board_that_stays_in_use(
    serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with acquire(serial):
        status = run(["--json", "safe", "--all", "--wait", "0"])

    outcomes = {row["board"]: row["outcome"] for row in told(capsys)}
    assert (status, outcomes[serial]) == (1, "busy")


NO_RECORDS = [b"", b'{"state": "safe", "holder": null, "events": ["made safe"]}', bytes(4096)]


@pytest.mark.parametrize("text", NO_RECORDS)
def test_safe_all_continues_after_a_damaged_record_and_repairs_it(
    simulator: SimulatorProcess, folder: Path, serial: str, text: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    record_path(folder, serial).write_bytes(text)
    record_path(folder, OTHER).write_bytes(text)

    status = run(["--json", "safe", "--all"])

    rows = {row["board"]: row for row in told(capsys)}
    outcomes = {board: row["outcome"] for board, row in rows.items()}
    assert (status, outcomes) == (0, dict.fromkeys(simulator.serials(), "safe") | {OTHER: "absent"})
    assert str(record_path(folder, OTHER)) in rows[OTHER]["why"]
    assert not simulator.management.state(serial)["supply"]
    assert not read_record(folder, serial).needs_safety


@pytest.mark.parametrize("path_of", [record_path, lock_path])
def test_safe_works_whatever_has_the_names_of_the_boards_files(
    simulator: SimulatorProcess,
    folder: Path,
    serial: str,
    path_of: Callable[[Path, str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = path_of(folder, serial)
    path.mkdir()

    status = run(["--json", "safe", "--all"])

    rows = {row["board"]: row for row in told(capsys)}
    assert (status, rows[serial]["outcome"]) == (0, "safe")
    assert not simulator.management.state(serial)["supply"]
    assert (str(path) in rows[serial]["why"]) == (path_of is lock_path)


@only_root
def test_safe_works_if_another_user_damaged_the_boards_files(
    simulator: SimulatorProcess, serial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder_for_everybody() as folder:
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("HIL_LOCK_DIR", str(folder))
        locks = [f"hil-board-{serial}{spare}.lock" for spare in ("", ".2", ".3", ".4")]
        for name in (f"hil-board-{serial}.json", *locks, "hil-queue"):
            as_user(MALLORY, partial(os.mkfifo, folder / name))

        status = as_user(VICTIM, lambda: run(["--json", "safe", "--all"]))

    assert status == 0
    assert not simulator.management.state(serial)["supply"]


def test_boards_and_doctor_continue_after_damaged_files(
    folder: Path, serial: str, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    other = simulator.serials()[1]
    lock = lock_path(folder, serial)
    lock.mkdir()
    record_path(folder, other).write_bytes(b"{")

    status = run(["--json", "boards"])

    rows = {row["board"]: row for row in told(capsys)}
    assert status == 0
    assert str(lock) in rows[serial]["why"]
    assert str(record_path(folder, other)) in rows[other]["why"]
    assert rows[other]["safe"] is False
    run(["doctor", "--quick"])
    shown = capsys.readouterr().out
    assert str(lock) in shown
    assert str(record_path(folder, other)) in shown


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["hil.cli.main", "boards"], {0}),
        (["hil.cli.main", "doctor", "--quick"], {0, 1}),
        (["hil.cli.main", "safe", "--all"], {0}),
        (["hil.cli.main", "power", "read"], {0}),
        (["hil.cli.main", "lease", "--", "true"], {0}),
        (["pytest", "-q", "-p", "no:cacheprovider", "test_reads.py"], {0}),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_safe_does_not_read_large_files_in_the_lock_folder_whole(
    tmp_path: Path, folder: Path, serial: str, command: list[str], status: set[int]
) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_reads.py").write_text("def test_reads(power):\n    power.read()\n")
    for path in (lock_path(folder, serial), record_path(folder, serial), folder / QUEUE_NAME):
        path.touch()
        path.chmod(0o666)
        os.truncate(path, 3 << 30)

    ran = subprocess.run(
        ["prlimit", f"--as={2 << 30}", sys.executable, "-m", *command],
        cwd=tmp_path,
        env=os.environ | {"HIL_BOARD": serial},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert ran.returncode in status, ran.stdout + ran.stderr
    assert "more memory" not in ran.stdout + ran.stderr


def test_safe_all_fails_for_a_board_that_may_not_be_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    denied = ProbeResult(Verdict.DENIED, error=BoardDeniedError("a board may not be opened"), location="1-4")
    monkeypatch.setattr(make_safe, "list_boards", lambda *_: [denied])

    status = run(["safe", "--all"])

    said = capsys.readouterr().out
    assert (status, said) == (1, "Board at 1-4 is denied: a board may not be opened.\n")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        pytest.param(["--all", OTHER], "--all", id="one board and all"),
        pytest.param(["--boards", "sim:2"], "sim:2", id="boards that would be started"),
        pytest.param(["--boards", "nowhere"], "nowhere", id="no place at all"),
        pytest.param(["--wait", "-1"], "--wait", id="less than no time"),
    ],
)
def test_safe_reports_misuse_in_three_parts(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["safe", *arguments])

    said = capsys.readouterr().err
    assert (status, what in said, "\n  try: " in said) == (2, True, True)


def test_boot_unit_runs_an_existing_command(simulator: SimulatorProcess, serial: str) -> None:
    (command,) = re.findall(r"^ExecStart=\S+/hil (.+)$", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE)

    status = run(command.split())

    assert (status, simulator.management.state(serial)["supply"]) == (0, False)


@only_root
def test_safe_as_root_ignores_another_users_lab_file(
    simulator: SimulatorProcess,
    serial: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with folder_for_everybody() as common:
        (common / "lab.toml").write_text(f'[place.rack]\nserial = "{serial}"\nsafe = "leave"\n')
        os.chown(common / "lab.toml", MALLORY, MALLORY)
        monkeypatch.chdir(common)

        status = run(["--json", "safe", serial])

    said = capsys.readouterr()
    assert (status, json.loads(said.out)["outcome"]) == (0, "safe")
    assert simulator.management.state(serial)["supply"] is False
    assert f"belongs to uid {MALLORY}" in said.err


def test_safe_all_leaves_the_name_of_the_killed_holder_of_an_absent_board(folder: Path) -> None:
    leave_in_use(folder, OTHER)
    killed = acquire(OTHER)
    killed.lock.close()

    run(["safe", "--all"])

    assert holder_of(folder, OTHER) == killed.holder


def test_safe_all_lists_an_absent_board_whose_dead_holder_has_a_stopped_guard(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_safe, "list_boards", lambda *_: [])
    leave_in_use(folder, OTHER)
    with running([sys.executable, "-c", STOPPED_GUARD, OTHER]) as guard:
        assert until(lambda: state_of(guard.pid) == "T", SOON_S)

        run(["--json", "safe", "--all"])

        assert [(row["board"], row["outcome"]) for row in told(capsys)] == [(OTHER, "absent")]
        assert guard.wait(SOON_S) == -9


def test_safe_if_unsafe_leaves_the_name_of_a_killed_command_at_a_safe_board(
    folder: Path, simulator: SimulatorProcess
) -> None:
    serial = simulator.serials()[1]
    write_record(folder, serial, BoardRecord(BoardState.SAFE))
    killed = acquire(serial)
    killed.lock.close()

    run(["safe", "--if-unsafe", serial])

    assert holder_of(folder, serial) == killed.holder
