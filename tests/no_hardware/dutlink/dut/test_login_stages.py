"""Logging in to DUTs that boot, wait in a boot loader, or ask more than a password."""

from __future__ import annotations

import sys

import pytest

from hil.dutlink.console.console import Console
from hil.dutlink.dut import boot_stage, login
from hil.dutlink.dut.prompt import StickState
from hil.dutlink.timing import outer_limit
from hil.errors import BootLoaderError, ConsoleError, ExpectError
from tests.no_hardware.dutlink.dut import plain_prompt
from tests.no_hardware.dutlink.dut.shell_tty import ShellTty
from tests.support.programs import program

PROGRAM = program(__file__, "login_stages_program")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "QUIET_S", 0.25)
    monkeypatch.setattr(login, "UNKNOWN_QUESTION_S", 0.5)


def dut(program: str) -> ShellTty:
    return ShellTty([sys.executable, "-u", "-c", PROGRAM + program])


@pytest.mark.parametrize("first", ["", "out('U-Boot SPL 2024.04\\nTraining DRAM')", "out('odd words\\n')"])
def test_login_does_not_stop_the_autoboot_of_a_dut_that_was_silent(first: str) -> None:
    with dut(
        f"{first}\ntime.sleep(1)\nout('U-Boot 2024.04\\n'); countdown(); boot(); log_in(); shell()"
    ) as it:
        it.console.login("root", "hil", timeout_s=30)

        assert b"=>" not in it.console.transcript.data


def test_login_wakes_a_system_that_waits_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot_stage, "SILENT_S", 0.5)
    with dut("ask(''); log_in(); shell()") as it:
        it.console.login("root", "hil", timeout_s=30)

        assert b"login: " in it.console.transcript.data


def test_login_wakes_a_system_soon_whose_kernel_spoke() -> None:
    with dut("countdown(); boot(); ask(''); log_in(); shell()") as it:
        it.console.login("root", "hil", timeout_s=60)

        assert b"login: " in it.console.transcript.data


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("=> ", "U-Boot"), ("grub> ", "GRUB"), ("barebox@X:/ ", "barebox"), ("boot> ", "boot loader")],
)
def test_login_names_the_boot_loader_that_the_dut_waits_in(prompt: str, name: str) -> None:
    with (
        dut(f"out('U-Boot 2024.04\\n{prompt}'); ask('')") as it,
        pytest.raises(BootLoaderError, match=name) as raised,
    ):
        it.console.login("root", "hil", timeout_s=60)

    assert raised.value.remedy.startswith(
        "storage.flash(IMAGE), storage.dut() and power.cycle() if the stick holds no system; else"
    )


@pytest.mark.parametrize(
    ("stick", "advice"),
    [
        (
            StickState("off"),
            "storage.flash(IMAGE) if the stick holds no system, then storage.dut() and power.cycle(): ",
        ),
        (StickState("host", "rack.img"), "storage.dut() and power.cycle(): the stick is not at the DUT"),
        (StickState("dut", "rack.img"), "see why image rack.img does not boot"),
    ],
)
def test_login_at_a_boot_loader_advises_by_the_stick(stick: StickState, advice: str) -> None:
    with dut("out('U-Boot 2024.04\\n=> '); ask('')") as it:
        it.console._find_stick = lambda: stick
        with pytest.raises(BootLoaderError) as raised:
            it.console.login("root", "hil", timeout_s=60)

    assert raised.value.remedy.startswith(advice)


def test_login_takes_no_boot_loader_s_prompt_for_a_shell_s() -> None:
    with (
        dut("out('U-Boot 2024.04\\nHit any key to stop autoboot: 0\\nsunxi# '); ask('')") as it,
        pytest.raises(BootLoaderError, match="boot loader"),
    ):
        it.console.login("root", "hil", timeout_s=60)


def test_login_that_ends_in_a_countdown_says_so() -> None:
    with (
        dut("out('U-Boot 2024.04\\nHit any key to stop autoboot: 3\\n'); time.sleep(60)") as it,
        pytest.raises(ExpectError, match="autoboot"),
    ):
        it.console.login("root", "hil", timeout_s=1)


@pytest.mark.parametrize(
    "password",
    ["Passwort: ", "Mot de passe : ", "Contrase\u00f1a: ", "\u5bc6\u7801\uff1a", "Password for root@LAN: "],
)
def test_login_answers_a_password_question_in_other_words(password: str) -> None:
    with dut(f"log_in({password!r}); shell()") as it:
        it.console.login("root", "hil", timeout_s=30)

        assert it.console.transcript.data.count(b"root@dut") == 1


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            "log_in(); out('You are required to change it.\\nCurrent password: ')",
            "new password",
        ),
        (
            "log_in(); out('Passwort sofort \u00e4ndern.\\nNeues Passwort: ')",
            "new password",
        ),
        ("ask('login: '); out('Your password has expired.\\nNew password: ')", "new password"),
        ("log_in(); out('Verification code: ')", "second factor"),
        ("ask('login: '); out('One-time password (OTP): ')", "second factor"),
        ("log_in(); out('Terminal type? ')", "does not know"),
        ("log_in(); out('Password: ')", "does not know"),
    ],
)
def test_login_names_the_question_that_it_cannot_answer(program: str, words: str) -> None:
    question = program.rpartition("out('")[2].rpartition("\\n")[2].split("'")[0].strip()
    with dut(f"{program}; given = ask(''); out('got ' + given)") as it:
        with pytest.raises(ConsoleError, match=words) as raised:
            it.console.login("root", "hil", timeout_s=30)

        assert question in raised.value.why
        assert b"got " not in it.console.transcript.data


def test_login_names_emergency_mode() -> None:
    question = "Give root password for maintenance\\n(or press Control-D to continue): "
    with (
        dut(f"boot(); out('{question}'); ask('')") as it,
        pytest.raises(ConsoleError, match="emergency mode"),
    ):
        it.console.login("root", "hil", timeout_s=30)


@pytest.mark.parametrize("prompt", ["# ", "$ ", "sh-5.1# "])
@pytest.mark.parametrize("is_logged_in", [False, True])
def test_login_at_a_shell_that_printed_a_boot_loader_s_words(prompt: str, is_logged_in: bool) -> None:
    with ShellTty(["sh", "-i"], {"PS1": prompt, "ENV": ""}) as it:
        if is_logged_in:
            it.console.login("root", "", timeout_s=30)
            it.console.sendline("echo BIOS Information; echo UEFI is supported; echo any key")
            it.console.expect(r"\nany key", 10)
        else:
            it.console.run("echo BIOS Information; echo UEFI is supported; echo any key")

        it.console.login("root", "", timeout_s=30)

        assert it.console.run("echo $((6 * 7))").output == "42"


def test_login_at_a_boot_loader_does_not_blame_the_time_limit_of_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outer_limit, "left_s", lambda: 20.0)

    with dut("out('U-Boot 2024.04\\n=> '); ask('')") as it, pytest.raises(BootLoaderError) as raised:
        it.console.login("root", "hil", timeout_s=60)

    assert raised.value.remedy.startswith("storage.flash(IMAGE)")


def test_expect_of_a_dut_that_is_off_does_not_blame_the_time_limit_of_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outer_limit, "left_s", lambda: 0.1)
    monkeypatch.setattr(Console, "dut_is_off", True)

    with dut("ask('')") as it, pytest.raises(ExpectError) as raised:
        it.console.expect("login: ", timeout_s=60)

    assert raised.value.remedy == "power.on()"


def test_login_that_times_out_at_the_boot_loader_s_prompt_says_only_that() -> None:
    with dut("out('U-Boot 2024.04 (Apr 02 2024)\\nDRAM:  1 GiB\\n=> '); ask('')") as it:
        it.console.expect("=> ", 10)

        with pytest.raises(BootLoaderError, match="U-Boot") as raised:
            it.console.login("root", "hil", timeout_s=0.2)

    assert "Enter was pressed late" not in str(raised.value)


def test_login_after_a_command_of_a_shell_without_printf() -> None:
    with ShellTty([sys.executable, "-u", plain_prompt.__file__, "# "]) as it:
        it.console.run("echo UEFI is supported")

        it.console.login("root", "", timeout_s=30)

        assert b"UEFI" in it.console.transcript.data


def test_login_names_the_boot_loader_that_a_reboot_stopped_in() -> None:
    with dut(
        "log_in(); ask('# '); out('U-Boot 2024.04 (Apr 02 2024)\\nDRAM:  1 GiB\\nsunxi# '); ask('')"
    ) as it:
        it.console.login("root", "hil", timeout_s=30)
        it.console.sendline("reboot -f")
        it.console.expect("sunxi", 10)

        with pytest.raises(BootLoaderError, match="boot loader"):
            it.console.login("root", "hil", timeout_s=30)
