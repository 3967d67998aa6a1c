"""`hil console`, as a person at a terminal has it: a real pty, a real process."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.sources import simulated_host
from hil.cli.main import run
from hil.dutlink.board import open_driver
from hil.dutlink.timing import Deadline, until
from hil.lab.locks.acquire import acquire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes
LEAVE, HELP = b"\x1d", b"\x1e"
ANSWERED = b"boot> \r\nhil boot ROM"
LIMIT_S = 60.0
SIMULATOR = {"boards": 1, "speed": 5}


@pytest.fixture(autouse=True)
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Iterator[str]:
    (serial,) = simulator.serials()
    (tmp_path / "locks").mkdir()
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    monkeypatch.chdir(tmp_path)
    yield serial
    simulator.management.clear(serial)
    with suppress(Exception):
        simulator.management.fault(serial, "replug")
    run(["power", "force-off"])


class AtTerminal:
    """A command whose three streams are a terminal."""

    def __init__(self, *arguments: str) -> None:
        self.said = b""
        self._master, self._slave = os.openpty()
        self._before = termios.tcgetattr(self._slave)
        command = [sys.executable, "-m", "hil.cli.main", *arguments]
        self.process = subprocess.Popen(
            command, stdin=self._slave, stdout=self._slave, stderr=self._slave, start_new_session=True
        )

    def wait_for(self, words: bytes) -> None:
        deadline = Deadline(LIMIT_S)
        while words not in self.said:
            ready, _, _ = select.select([self._master], [], [], deadline.left_s)
            assert ready, f"{words!r} did not come: {self.said!r}"
            self.said += os.read(self._master, 65536)

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def ended(self) -> int:
        """The exit status; what was still said is taken in."""
        status = self.process.wait(LIMIT_S)
        while select.select([self._master], [], [], 0)[0]:
            self.said += os.read(self._master, 65536)
        return status

    @property
    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._slave) == self._before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def at_terminal() -> Iterator[Callable[..., AtTerminal]]:
    with ExitStack() as stack:

        def start(*arguments: str) -> AtTerminal:
            terminal = AtTerminal(*arguments)
            stack.callback(terminal.close)
            return terminal

        yield start


def test_console_sends_typed_keys_and_shows_the_duts_output(
    at_terminal: Callable[..., AtTerminal],
) -> None:
    terminal = at_terminal("console", "--power-on")
    terminal.wait_for(b"boot> ")
    assert not terminal.is_as_before
    terminal.type(b"\r")
    terminal.wait_for(ANSWERED)
    terminal.type(LEAVE)

    assert (terminal.ended(), terminal.is_as_before) == (0, True)
    assert b"Ctrl-] leaves" in terminal.said
    assert b"left the console" in terminal.said
    assert b"Exiting console mode" not in terminal.said  # hil's own talk with the board before the first key


def test_console_of_a_dut_without_power_shows_no_old_output(
    at_terminal: Callable[..., AtTerminal],
) -> None:
    terminal = at_terminal("console")
    terminal.wait_for(b"Ctrl-^ lists the keys")
    terminal.type(LEAVE)

    assert terminal.ended() == 0
    assert b"it may be old" not in terminal.said


def test_console_help_key_lists_the_keys(at_terminal: Callable[..., AtTerminal]) -> None:
    terminal = at_terminal("console")
    terminal.wait_for(b"Ctrl-^ lists the keys")
    terminal.type(HELP)
    terminal.wait_for(b"all other keys go to the DUT")
    terminal.type(LEAVE)

    assert terminal.ended() == 0


def test_console_of_a_dut_that_is_off_says_so(at_terminal: Callable[..., AtTerminal]) -> None:
    terminal = at_terminal("console")
    terminal.wait_for(b"the DUT is off; Ctrl-], then hil console --power-on switches it on")
    terminal.type(LEAVE)

    assert terminal.ended() == 0


def test_power_on_says_when_the_dut_is_on_already(
    at_terminal: Callable[..., AtTerminal], simulator: SimulatorProcess, serial: str
) -> None:
    run(["power", "force-on"])
    with open_driver(simulated_host(simulator.ready), serial, console=False) as board:
        assert until(board.power.draws, LIMIT_S)
    terminal = at_terminal("console", "--power-on")
    terminal.wait_for(
        b"the DUT was on already and keeps running; "
        b"Ctrl-], hil power off, then hil console --power-on boots it again"
    )
    terminal.type(LEAVE)

    assert terminal.ended() == 0


def test_console_sends_ctrl_c_to_the_dut(at_terminal: Callable[..., AtTerminal]) -> None:
    terminal = at_terminal("console", "--power-on")
    terminal.wait_for(b"boot> ")
    terminal.type(b"\x03")
    terminal.type(b"\r")
    terminal.wait_for(ANSWERED)

    terminal.type(LEAVE)
    assert terminal.ended() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_console_ended_by_a_signal_restores_the_terminal(
    at_terminal: Callable[..., AtTerminal], number: signal.Signals, status: int, serial: str
) -> None:
    terminal = at_terminal("console", "--power-on")
    terminal.wait_for(b"boot> ")
    terminal.process.send_signal(number)

    assert (terminal.ended(), terminal.is_as_before) == (status, True)
    assert acquire(serial).release() is None


def test_console_of_a_lost_board_restores_the_terminal(
    at_terminal: Callable[..., AtTerminal], simulator: SimulatorProcess, serial: str
) -> None:
    terminal = at_terminal("console", "--power-on")
    terminal.wait_for(b"boot> ")
    simulator.management.fault(serial, "unplug")

    assert (terminal.ended(), terminal.is_as_before) == (1, True)
    assert b"went away while it was open" in terminal.said


def test_console_returns_a_board_from_its_shell(
    at_terminal: Callable[..., AtTerminal], simulator: SimulatorProcess, serial: str
) -> None:
    terminal = at_terminal("console", "--power-on")
    terminal.wait_for(b"boot> ")
    terminal.type(b"\r")
    terminal.wait_for(ANSWERED)  # what is typed first makes sure of console mode
    terminal.type(b"\x02" * 5 + LEAVE)

    assert terminal.ended() == 0
    assert simulator.management.state(serial)["console_mode"] is True


def test_console_names_the_holder_of_a_board_in_use(
    at_terminal: Callable[..., AtTerminal], serial: str
) -> None:
    with acquire(serial, test="test_boot"):
        terminal = at_terminal("console", "--wait", "0")

        assert (terminal.ended(), b"test_boot" in terminal.said) == (1, True)


def test_two_processes_do_not_share_a_console(at_terminal: Callable[..., AtTerminal]) -> None:
    first = at_terminal("console", "--power-on")
    first.wait_for(b"boot> ")
    second = at_terminal("console", "--wait", "0")

    assert (second.ended(), b"hil console" in second.said) == (1, True)
    first.type(LEAVE)
    assert first.ended() == 0


def test_console_writes_a_transcript_on_request(
    at_terminal: Callable[..., AtTerminal], tmp_path: Path
) -> None:
    terminal = at_terminal("console", "--power-on", "--transcript", "kept.txt")
    terminal.wait_for(b"boot> ")
    terminal.type(LEAVE)
    terminal.ended()

    assert re.search(r"\* power on\n.* \| ?\n.*\| hil boot ROM", (tmp_path / "kept.txt").read_text())


class Piped:
    """A command without a terminal."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "hil.cli.main", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.said = b""

    def wait_for(self, words: bytes) -> None:
        assert self.process.stdout is not None
        deadline = Deadline(LIMIT_S)
        while words not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline.left_s)
            assert ready, f"{words!r} did not come: {self.said!r}"
            self.said += os.read(self.process.stdout.fileno(), 65536)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        out, self.complaint = self.process.communicate(timeout=LIMIT_S)
        self.said += out
        return self.process.returncode


def test_console_in_a_pipe_prints_plain_text_and_sends_no_keys() -> None:
    piped = Piped("console", "--power-on")
    piped.wait_for(b"boot> ")

    assert piped.end(signal.SIGINT) == 130
    assert b"no keys are sent" in piped.complaint
    assert b"\r" not in piped.said


def test_console_with_json_prints_all_bytes_and_marks() -> None:
    piped = Piped("--json", "console", "--power-on")
    piped.wait_for(b"boot> ")
    status = piped.end(signal.SIGTERM)

    told: list[dict[str, Any]] = [json.loads(line) for line in piped.said.splitlines()]
    came = [event for event in told if event["event"] == "bytes"]
    said = b"".join(base64.b64decode(event["base64"]) for event in came)
    assert (status, told[-1]["event"]) == (143, "end")
    assert b"hil boot ROM" in said
    assert "power on" in [event["text"] for event in told if event["event"] == "mark"]
    assert all(event["offset"] + event["size"] <= len(said) for event in came)


def test_console_ends_silently_if_its_reader_ends() -> None:
    piped = Piped("--json", "console", "--power-on")
    with piped.process as process:
        piped.wait_for(b"hil boot ROM")
        assert process.stdout is not None
        process.stdout.close()
        process.send_signal(signal.SIGTERM)  # it has an end to tell, and no reader
        assert process.stderr is not None
        complaint = process.stderr.read()

    assert (process.returncode, b"Traceback" in complaint) == (0, False)


def test_console_reports_a_full_disk() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        command = [sys.executable, "-m", "hil.cli.main", "console", "--power-on"]
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=LIMIT_S,
        )

    assert (ended.returncode, b"cannot be written" in ended.stderr) == (1, True)
    assert b"Traceback" not in ended.stderr


def test_console_refuses_a_transcript_that_cannot_be_written_before_it_uses_the_board(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run(["console", "--transcript", "/nonesuch/kept.txt"])

    assert (status, "cannot be written" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize("name", ["precious.txt", "precious.raw", "link.txt"])
def test_console_refuses_a_transcript_that_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("link.txt").symlink_to("precious.txt")
    for each in ("precious.txt", "precious.raw"):
        Path(each).write_text("last night")

    status = run(["console", "--transcript", name])

    assert (status, "or --force" in capsys.readouterr().err) == (2, True)
    assert Path(name).read_text() == "last night"


def test_console_replaces_a_transcript_with_force() -> None:
    Path("old.raw").write_text("last night")
    piped = Piped("console", "--power-on", "--transcript", "old.raw", "--force")
    piped.wait_for(b"boot> ")
    piped.end(signal.SIGINT)

    assert b"hil boot ROM" in Path("old.raw").read_bytes()
    assert b"last night" not in Path("old.raw").read_bytes()


def test_console_writes_its_transcript_to_a_device() -> None:
    piped = Piped("console", "--power-on", "--transcript", "/dev/null")
    piped.wait_for(b"boot> ")

    assert piped.end(signal.SIGINT) == 130


def test_console_appends_its_transcript_to_the_file_of_standard_output() -> None:
    Path("log.txt").write_text("before\n")
    with Path("log.txt").open("ab") as log:
        command = [sys.executable, "-m", "hil.cli.main", "console", "--transcript", "/dev/stdout"]
        subprocess.run([*command, "--board", "nonesuch"], stdout=log, check=False, timeout=LIMIT_S)

    assert Path("log.txt").read_text().startswith("before\n")
