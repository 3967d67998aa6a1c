"""Logging in where boot logs, messages of the day and the kernel say what looks like a question."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hil.dutlink.dut import login
from hil.dutlink.dut.command import CommandResult
from hil.errors import ConsoleError, ExpectError
from tests.no_hardware.dutlink.dut.shell_tty import ShellTty

GETTY = Path(__file__).with_name("awkward_getty.py")
KINDS = [
    "asks for both",
    "no password",
    "kernel",
    "boots",
    "is logged in",
    "logs in by itself",
    "asks for a password already",
    "loses the first name",
]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "QUIET_S", 0.8)


@pytest.mark.parametrize("kind", KINDS)
def test_login_reaches_the_shell_of_a_dut_that(kind: str) -> None:
    with ShellTty([sys.executable, str(GETTY), kind]) as dut:
        dut.console.login("root", "hil", timeout_s=30)

        assert dut.console.run("echo here") == CommandResult(0, "here")


@pytest.mark.parametrize("kind", ["asks for both", pytest.param("kernel", marks=pytest.mark.thorough)])
def test_login_error_quotes_the_dut_s_refusal(kind: str) -> None:
    with (
        ShellTty([sys.executable, str(GETTY), kind]) as dut,
        pytest.raises(ConsoleError, match="Login incorrect") as raised,
    ):
        dut.console.login("root", "wrong", timeout_s=30)

    assert not isinstance(raised.value, ExpectError)


def test_login_ignores_hashes_in_a_boot_log() -> None:
    with ShellTty([sys.executable, str(GETTY), "boots"]) as dut:
        dut.console.login("root", "hil", timeout_s=30)

        assert b"dut login: " in dut.console.transcript.data


@pytest.mark.thorough
def test_login_error_names_the_time_and_the_last_line() -> None:
    with (
        ShellTty([sys.executable, "-c", "print('U-Boot # is silent'); input()"]) as dut,
        pytest.raises(ExpectError, match=r"no login prompt came within 2\.\d s, to log in as root") as raised,
    ):
        dut.console.login("root", "hil", timeout_s=2.0)

    assert "is silent" in raised.value.why
