"""`hil.open_board`: a program's board is leased, guarded and safe, like that of `hil lease`."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hil
from hil.boards.sources import simulated_host
from hil.dutlink.host import Host
from hil.dutlink.timing import until
from hil.errors import BoardBusyError, LeaseEndedError, NotLeasedError, StickInUseError, UsageError
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.record import BoardState, read_record
from hil.sim.process import SimulatorProcess
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.thorough  # processes

LIMIT_S = 60.0
HIL = [sys.executable, "-m", "hil.cli.main"]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=2, speed=10) as process:
        yield process


@pytest.fixture
def host(simulator: SimulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host of two boards, to which HIL_BOARDS leads, too."""
    monkeypatch.setenv("HIL_LAB", "none")
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    return simulated_host(simulator.ready)


@pytest.fixture
def serial(simulator: SimulatorProcess) -> str:
    return simulator.serials()[0]


def has_power(simulator: SimulatorProcess, serial: str) -> bool:
    return bool(simulator.management.state(serial)["supply"])


def state_of(serial: str) -> BoardState:
    return read_record(Path(os.environ["HIL_LOCK_DIR"]), serial).state


def run(source: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


def test_open_board_holds_the_board_until_it_is_closed(
    simulator: SimulatorProcess, host: Host, serial: str
) -> None:
    board = hil.open_board(host, serial)
    board.power.force_on()
    with pytest.raises(BoardBusyError):
        acquire(serial, host=host)
    held = state_of(serial)

    board.close()

    assert (held, state_of(serial)) == (BoardState.IN_USE, BoardState.SAFE)
    assert not has_power(simulator, serial)
    acquire(serial, host=host).release()


def test_open_board_gives_back_at_the_end_of_its_block(
    simulator: SimulatorProcess, host: Host, serial: str
) -> None:
    with suppress(ZeroDivisionError), hil.open_board(host, serial) as board:
        board.power.force_on()
        raise ZeroDivisionError

    assert (state_of(serial), has_power(simulator, serial)) == (BoardState.SAFE, False)
    with pytest.raises(LeaseEndedError):
        board.power.force_on()


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the simulated board's handle
def test_open_board_gives_a_board_that_is_forgotten_to_its_guard(
    simulator: SimulatorProcess, host: Host, serial: str
) -> None:
    board = hil.open_board(host, serial)
    board.power.force_on()
    power = board.power
    del board
    gc.collect()
    still_held = has_power(simulator, serial)

    del power
    gc.collect()

    assert still_held
    assert until(lambda: not has_power(simulator, serial), LIMIT_S)
    with hil.open_board(host, serial) as again:
        assert again.console.is_open


def test_open_board_takes_another_free_board_if_none_is_named(host: Host) -> None:
    with hil.open_board(host) as first, hil.open_board(host) as second:
        assert first.serial != second.serial


def test_flash_reads_all_of_a_stick_that_a_program_under_the_lease_has_changed(
    host: Host, serial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.flash.fingerprint._SETTLED_S", 0.0)
    image = tmp_path / "dut.img"
    image.write_bytes(os.urandom(510) + b"\x55\xaa" + os.urandom((1 << 21) - 512))
    with hil.open_board(host, serial) as board:
        board.storage.flash(image)

        changed = run(program(__file__, "open_board_changes_the_stick"))

        assert (changed.returncode, board.storage.position) == (0, None), changed.stderr
        assert board.storage.flash(image).was_written


def test_open_board_twice_says_that_the_program_has_the_board(host: Host, serial: str) -> None:
    with (
        hil.open_board(host, serial) as board,
        pytest.raises(BoardBusyError, match="is open in this program already"),
    ):
        hil.open_board(host, board.serial)


def test_open_board_names_the_holder_of_a_busy_board(host: Host, serial: str) -> None:
    with acquire(serial, test="a night", host=host), pytest.raises(BoardBusyError) as raised:
        hil.open_board(host, serial, wait_s=0)

    assert "a night" in raised.value.why
    assert "wait_s" in raised.value.remedy


def test_open_board_makes_a_board_safe_that_was_left_on(
    simulator: SimulatorProcess, host: Host, serial: str
) -> None:
    subprocess.run([*HIL, "power", "force-on", "--board", serial], check=True, timeout=LIMIT_S)
    was_on = has_power(simulator, serial)

    with hil.open_board(host, serial):
        assert (was_on, has_power(simulator, serial)) == (True, False)


def test_open_board_leaves_a_stick_that_is_in_use_on_the_host(
    simulator: SimulatorProcess, host: Host, serial: str
) -> None:
    board = hil.open_board(host, serial)
    board.power.force_on()
    board.storage.host()
    with board.storage.wait_for_node().open("rb"), pytest.raises(StickInUseError, match="stays on the host"):
        board.close()

    state = simulator.management.state(serial)
    assert (state["supply"], state["mux"]) == (False, "host")


def test_open_board_lends_the_board_to_programs_that_it_starts(host: Host, serial: str) -> None:
    command = [*HIL, "--json", "power", "read", "--board", serial]
    with hil.open_board(host, serial):
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)

    assert json.loads(ran.stdout)["board"] == serial
    assert "HIL_LEASE" not in os.environ


ENDS = """
import hil, os, signal, sys
board = hil.open_board(serial=sys.argv[1])
board.power.force_on()
print("on", flush=True)
if sys.argv[2] == "wait":
    signal.pause()
elif sys.argv[2] == "exec":
    os.execv("/bin/sleep", ["sleep", "100"])
elif sys.argv[2] == "_exit":
    os._exit(0)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_program_that_is_killed_leaves_its_dut_off(
    simulator: SimulatorProcess, host: Host, serial: str, number: signal.Signals
) -> None:
    assert host
    with subprocess.Popen(
        [sys.executable, "-c", ENDS, serial, "wait"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"on\n"
        was_on = has_power(simulator, serial)
        program.send_signal(number)

    assert was_on
    assert until(lambda: not has_power(simulator, serial), LIMIT_S)
    assert until(lambda: state_of(serial) is BoardState.SAFE, LIMIT_S)


@pytest.mark.parametrize("end", ["return", "exec", "_exit"])
def test_program_that_ends_without_close_leaves_its_dut_off(
    simulator: SimulatorProcess, host: Host, serial: str, end: str
) -> None:
    assert host
    with subprocess.Popen([sys.executable, "-c", ENDS, serial, end], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"on\n"
        assert until(lambda: state_of(serial) is BoardState.SAFE, LIMIT_S)
        program.kill()

    assert not has_power(simulator, serial)


def test_forked_child_does_not_give_the_board_back(
    simulator: SimulatorProcess, host: Host, serial: str
) -> None:
    program = """
import hil, os, sys
board = hil.open_board(serial=sys.argv[1])
board.power.force_on()
child = os.fork()
if not child:
    sys.exit(0)  # runs what is registered at exit
os.waitpid(child, 0)
print(board.power.read().volts > 1)
"""

    ran = run(program, serial)

    assert (ran.stdout, ran.stderr, host.dev.exists()) == ("True\n", "", True)
    assert not has_power(simulator, serial)


def test_program_under_a_lease_uses_the_leased_board(simulator: SimulatorProcess, host: Host) -> None:
    second = simulator.serials()[1]
    program = (
        "import hil; board = hil.open_board(); board.power.force_on(); board.close(); print(board.serial)"
    )
    assert host

    ran = subprocess.run(
        [*HIL, "lease", "--board", second, "--", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )

    assert (ran.stdout, has_power(simulator, second)) == (f"{second}\n", False), ran.stderr


DRIVES_ANOTHER = """
import os, sys
from hil.boards.address import parse_boards
from hil.boards.sources import source_of
from hil.dutlink.board import open_driver

open_driver(source_of(parse_boards(os.environ["HIL_BOARDS"])).host(), sys.argv[1]).power.force_on()
"""


def test_program_under_a_lease_of_one_board_cannot_drive_another(
    simulator: SimulatorProcess, host: Host
) -> None:
    first, second = simulator.serials()
    assert host

    ran = subprocess.run(
        [*HIL, "lease", "--board", first, "--", sys.executable, "-c", DRIVES_ANOTHER, second],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )

    assert (ran.returncode, NotLeasedError.__name__ in ran.stderr) == (1, True), ran.stderr
    assert not has_power(simulator, second)


def test_program_that_outlives_its_lease_opens_no_board(host: Host, serial: str) -> None:
    word = subprocess.run(
        [*HIL, "lease", "--board", serial, "--", "sh", "-c", 'echo "$HIL_LEASE"'],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_S,
    ).stdout.strip()

    ran = run("import hil; hil.open_board()", HIL_LEASE=word)

    assert (LeaseEndedError.__name__ in ran.stderr, host.dev.exists()) == (True, True), ran.stderr


def test_open_board_refuses_a_host_that_no_guard_can_reach(tmp_path: Path) -> None:
    host = Host("a host of a test", backend=lambda: None, dev=tmp_path)

    with pytest.raises(UsageError, match="cannot be leased by this program"):
        hil.open_board(host)


@pytest.mark.parametrize("boards", ["none", "sim:2"])
def test_open_board_refuses_boards_that_would_end_with_the_program(
    boards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_BOARDS", boards)

    with pytest.raises(UsageError):
        hil.open_board()
