"""Logging in and running commands: on the simulated DUT, and on shells that make it hard."""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import Board, open_driver
from hil.dutlink.console.console import Console
from hil.dutlink.console.tty import Tty
from hil.dutlink.dut import login
from hil.dutlink.dut.command import CommandResult, _output
from hil.errors import ConsoleError, ExpectError, UsageError
from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess
from tests.support.fake_tty import FakeTty

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    image = tmp_path_factory.mktemp("image") / "image"
    build_image(image, "console")
    with SimulatorProcess(1, speed=10.0) as simulator:
        host = replace(simulated_host(simulator.ready), stick_memory=None)
        with open_driver(host) as board:
            board.make_safe()
            board.storage.host()
            shutil.copyfile(image, board.storage.wait_for_node(20))
            board.storage.dut()
            board.power.on()
            yield board
            board.make_safe()


@pytest.fixture
def shell(booted: Board, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setattr(login, "QUIET_S", 0.3)  # simulated time is faster
    booted.console.login("root", "hil", timeout_s=60)
    return booted.console


def test_run_returns_output_and_status(shell: Console) -> None:
    assert shell.run("echo one two") == CommandResult(0, "one two")


def test_run_returns_the_status_of_a_failing_command(shell: Console) -> None:
    assert shell.run("false") == CommandResult(1, "")
    assert shell.run("nonesuch").status == 127


def test_run_returns_several_lines_as_lines(shell: Console) -> None:
    assert len(shell.run("help").output.splitlines()) > 5


def test_run_does_not_end_at_output_that_looks_like_a_prompt(shell: Console) -> None:
    assert shell.run("echo 'a # b $ c'") == CommandResult(0, "a # b $ c")


def test_run_raises_expect_error_on_a_timeout(shell: Console) -> None:
    with pytest.raises(ExpectError):
        shell.run("sleep 1000", timeout_s=0.5)

    shell.send("\x03")
    assert shell.run("true").status == 0


def test_login_does_nothing_at_a_shell(shell: Console) -> None:
    shell.discard()

    shell.login("root", "hil")

    assert shell.run("true").status == 0


def test_login_raises_console_error_for_a_wrong_password(shell: Console) -> None:
    shell.send("\x04")

    with pytest.raises(ConsoleError, match="did not let root in"):
        shell.login("root", "wrong", timeout_s=20)


@pytest.mark.parametrize("command", ["", " \n ", "two\rlines", "bell\a"])
def test_run_refuses_empty_commands_and_control_characters(shell: Console, command: str) -> None:
    with pytest.raises(UsageError):
        shell.run(command)


def test_run_removes_an_echo_that_wraps() -> None:
    said = b"echo a very lo\r\nng line\r\nresult\r\nroot@dut:~# echo hil-1-$?-\r\n"

    assert _output(said, "echo a very long line", "echo hil-1-$?-", b"", "[#$] ") == b"result\r\n"


def test_pace_s_sends_each_byte_by_itself() -> None:
    other_end = FakeTty()
    tty = Tty(other_end.path, is_board=False)
    seen, done = [], threading.Event()
    with Console("5a1c0e01", lambda: tty, tty) as console:
        write = console._connection._port.write  # type: ignore[union-attr]

        def note(data: bytes) -> None:
            seen.append(data)
            write(data)
            done.set()

        console._connection._port.write = note  # type: ignore[union-attr,method-assign]
        console.sendline("abc", pace_s=0.001)
    other_end.unplug()

    assert seen == [b"a", b"b", b"c", b"\r"]
    assert done.is_set()


def test_transcript_has_power_actions_and_blind_windows(booted: Board) -> None:
    booted.settings.write(power_rescue="p1,w2")

    booted.power.rescue()

    marks = [mark.text for mark in booted.console.transcript.marks]
    booted.settings.write(power_rescue="")
    assert re.match(r"power rescue; blind for 0\.\d s", marks[-2])
    assert marks[-1] == "power rescue is done"
