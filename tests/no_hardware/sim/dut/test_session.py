from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.dut_bench import DutBench, bootable_stick

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def booted(tmp_path: Path) -> DutBench:
    bench = DutBench(bootable_stick(tmp_path))
    bench.boot()
    bench.clock.advance(0.1)
    return bench


@pytest.fixture
def shell(tmp_path: Path) -> DutBench:
    bench = DutBench(bootable_stick(tmp_path))
    bench.log_in()
    return bench


def test_login_with_the_right_password_opens_a_shell(booted: DutBench) -> None:
    booted.type("root\r")
    booted.wait_for("Password: ")
    booted.type("hil\r")

    assert "Welcome" in booted.wait_for("# ")
    assert booted.dut.state()["logged_in"] is True


@pytest.mark.parametrize(("user", "password"), [("root", "guess"), ("guest", "hil"), ("root", "")])
def test_login_with_a_wrong_password_is_refused(booted: DutBench, user: str, password: str) -> None:
    booted.type(f"{user}\r")
    booted.wait_for("Password: ")
    booted.type(f"{password}\r")

    assert "Login incorrect\r\n" in booted.wait_for("login: ")
    assert booted.dut.state()["logged_in"] is False


def test_login_asks_again_after_an_empty_name(booted: DutBench) -> None:
    booted.type("\r")

    assert "Password" not in booted.wait_for("login: ")


def test_login_echoes_the_name(booted: DutBench) -> None:
    booted.type("root")

    assert booted.wait_for("root") == "root"


def test_login_does_not_echo_the_password(booted: DutBench) -> None:
    booted.type("root\r")
    booted.wait_for("Password: ")
    booted.type("hix\x7fl\r")

    assert booted.wait_for("# ").startswith("\r\nWelcome")


def test_login_takes_name_and_password_typed_ahead(booted: DutBench) -> None:
    booted.type("root\rhil\r")

    assert booted.wait_for("# ")


def test_terminal_counts_cr_lf_as_two_lines(booted: DutBench) -> None:
    booted.type("root\r\n")

    assert "Login incorrect" in booted.wait_for("login: ")


def test_login_asks_for_the_name_after_ctrl_c_at_the_password(booted: DutBench) -> None:
    booted.type("root\r")
    booted.wait_for("Password: ")

    booted.type("\x03")

    assert booted.wait_for("login: ")


def test_login_asks_again_after_ctrl_d(booted: DutBench) -> None:
    booted.type("\x04")

    assert booted.wait_for("login: ")


def test_shell_logs_out_on_ctrl_d(shell: DutBench) -> None:
    shell.type("\x04")

    assert "logout\r\n" in shell.wait_for("login: ")
    assert shell.dut.state()["logged_in"] is False


def test_terminal_ignores_ctrl_d_in_a_line(shell: DutBench) -> None:
    assert shell.run("echo a\x04b") == "ab\r\n"


@pytest.mark.parametrize("erase", ["\x7f", "\b"], ids=["delete", "backspace"])
def test_terminal_removes_an_erased_character_from_the_line(shell: DutBench, erase: str) -> None:
    assert shell.run(f"echo hix{erase}l") == "hil\r\n"


def test_terminal_wipes_an_erased_character_from_the_screen(shell: DutBench) -> None:
    shell.type("x\x7f")

    assert shell.wait_for("x\b \b")


def test_terminal_erases_nothing_in_front_of_the_line(shell: DutBench) -> None:
    shell.type("\x7f\x7f")
    shell.clock.advance(0.1)

    assert shell.printed == ""


def test_terminal_erases_the_line_on_ctrl_u(shell: DutBench) -> None:
    assert shell.run("rm -rf /\x15echo safe") == "safe\r\n"


def test_terminal_ignores_other_control_bytes(shell: DutBench) -> None:
    assert shell.run("echo\x02\x02\x02\x02\x02 a\x1bb") == "ab\r\n"


def test_terminal_drops_the_line_on_ctrl_c(shell: DutBench) -> None:
    shell.type("reboot\x03")

    assert shell.wait_for("# ") == "^C\r\n# "


def test_shell_ends_a_command_on_ctrl_c(shell: DutBench) -> None:
    shell.type("sleep 100\r")
    shell.clock.advance(1.0)

    shell.type("\x03")

    assert "^C\r\n" in shell.wait_for("# ", within_s=0.1)
    assert shell.run("echo $?") == "130\r\n"


def test_shell_cuts_long_output_on_ctrl_c(shell: DutBench) -> None:
    shell.type("dmesg\r")
    shell.clock.advance(0.1)

    shell.type("\x03")

    assert "init: running" not in shell.wait_for("# ")


def test_terminal_keeps_bytes_typed_during_a_command(shell: DutBench) -> None:
    shell.type("sleep 2\r")
    shell.clock.advance(1.0)
    shell.type("echo early\r")

    assert shell.wait_for("\r\nearly\r\n")


def test_terminal_limits_bytes_typed_during_a_command(shell: DutBench) -> None:
    shell.type("sleep 1\r")
    shell.clock.advance(0.1)

    shell.type("x" * 5000)
    shell.clock.advance(5.0)

    assert shell.printed.count("x") == 1024


def test_terminal_limits_the_length_of_a_line(shell: DutBench) -> None:
    shell.type("y" * 5000)
    shell.clock.advance(5.0)

    assert shell.printed.count("y") == 1024


def test_shell_prints_a_prompt_for_each_empty_line(shell: DutBench) -> None:
    shell.type("\r" * 900)
    shell.clock.advance(5.0)

    assert shell.printed.count("# ") == 900


def test_shell_works_after_a_kernel_line_at_the_prompt(shell: DutBench) -> None:
    shell.dut.stick(None)

    assert shell.wait_for("sda: I/O error\r\n")
    assert shell.run("echo alive") == "alive\r\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo a; echo b", "a\r\nb\r\n"),
        ("false; echo $? '$?'", "1 $?\r\n"),
        ("echo \"it's\" 'a'\\''b' x\\24", "it's a'b x24\r\n"),
        ("false; eval echo x '\"$?\"'", "x 1\r\n"),
        ("printf '%s-%s.' a b c; echo", "a-b.c-.\r\n"),
        ("printf 'a\\tb\\101%%\\n'", "a\tbA%\r\n"),
        ("echo \"$(printf 'x\\041\\n\\n')\"'y'", "x!y\r\n"),
        ('eval "echo \'open"; echo $?', "sh: syntax error: unterminated quoted string\r\n2\r\n"),
    ],
)
def test_shell_reads_a_line_as_posix_does(shell: DutBench, line: str, said: str) -> None:
    assert shell.run(line) == said


def test_shell_asks_for_the_rest_of_an_open_quote(shell: DutBench) -> None:
    shell.type("echo 'a\r")
    shell.wait_for("\r\n> ")

    assert shell.run("b'") == "a\nb\r\n"


def test_shell_drops_an_open_quote_on_ctrl_c(shell: DutBench) -> None:
    shell.type("echo 'a\r")
    shell.wait_for("\r\n> ")
    shell.type("\x03")
    shell.wait_for("# ")

    assert shell.run("echo b") == "b\r\n"
