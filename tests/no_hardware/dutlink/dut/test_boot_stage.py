"""How far a DUT has come, told from its last words, and which prompts are a boot loader's."""

from __future__ import annotations

import pytest

from hil.dutlink.console.transcript import Transcript
from hil.dutlink.dut import boot_stage
from hil.dutlink.dut.boot_stage import Stage, boot_prompt, may_press_enter, stage_of
from hil.dutlink.dut.prompt import PROMPT

COUNTDOWN = b"U-Boot 2024.04\r\nNet: eth0\r\nHit any key to stop autoboot:  3 \b\b\b 2 "
WORDS = {
    b"": Stage.UNKNOWN,
    b"hello\r\n": Stage.UNKNOWN,
    b"U-Boot SPL 2024.04\r\nTraining DRAM": Stage.LOADER,
    b"NOTICE:  BL31: v2.9\r\n": Stage.LOADER,
    b"barebox 2024.04.0\r\n": Stage.LOADER,
    b"\x1b[2JWelcome to GRUB!\r\n": Stage.LOADER,
    COUNTDOWN: Stage.COUNTDOWN,
    b"Press SPACE to abort autoboot in 3 seconds\r\n": Stage.COUNTDOWN,
    b"Hit m for menu or any to stop autoboot:    3": Stage.COUNTDOWN,
    b"Booting in 5 seconds\r\n": Stage.COUNTDOWN,
    COUNTDOWN + b"\r\nStarting kernel ...\r\n\r\n": Stage.SYSTEM,
    COUNTDOWN + b"\r\n[    0.000000] Machine model: U-Boot board\r\n": Stage.SYSTEM,
    b"[\x1b[0;32m  OK  \x1b[0m] Started Getty\r\n": Stage.SYSTEM,
    b"\r\ndut login: ": Stage.SYSTEM,
    b"\r\nPassword: ": Stage.SYSTEM,
    b"Please press Enter to activate this console. ": Stage.SYSTEM,
    b"motd\r\nroot@dut:~# ": Stage.SYSTEM,
    b"[   99.123456] reboot: Restarting system\r\n": Stage.STARTING,
    b"[   99.123456] reboot: Restarting system\r\nU-Boot SPL 2024.04\r\n": Stage.LOADER,
}


def transcript_of(said: bytes) -> Transcript:
    transcript = Transcript()
    transcript.append(said)
    return transcript


@pytest.mark.parametrize("said", WORDS)
def test_stage_of_the_last_lines(said: bytes) -> None:
    assert stage_of(transcript_of(said), PROMPT) is WORDS[said]


def test_stage_forgets_what_came_before_the_last_start() -> None:
    transcript = transcript_of(b"[    1.000000] Linux\r\ndut login: ")
    transcript.mark("power on", starts_dut=True)

    assert stage_of(transcript, PROMPT) is Stage.UNKNOWN


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (b"\r\n=> ", "U-Boot"),
        (b"\r\nU-Boot> ", "U-Boot"),
        (b"\r\nmx6-uboot # ", "U-Boot"),
        (b"\r\nZynqMP> ", "U-Boot"),
        (b"\r\n\x1b[1mbarebox@Board:/ \x1b[0m", "barebox"),
        (b"\r\ngrub> ", "GRUB"),
        (b"\r\ngrub rescue> ", "GRUB"),
        (b"\r\nShell> ", "the UEFI shell"),
        (b"Press Enter to try again.\r\nboot> ", "a boot loader"),
        (b"U-Boot 2024.04\r\nsunxi# ", "a boot loader"),
        (b"\r\nroot@dut:~# ", None),
        (b"\r\n# ", None),
        (b"\r\nuser$ ", None),
        (b"U-Boot 2024.04\r\nroot@dut:~# ", None),
        (b"a => \r\n", None),
    ],
)
def test_boot_prompt_is_named(said: bytes, name: str | None) -> None:
    assert boot_prompt(said, stage_of(transcript_of(said), PROMPT)) == name


@pytest.mark.parametrize("stage", Stage)
def test_may_press_enter_at_once_only_after_a_system_s_lines(stage: Stage) -> None:
    assert may_press_enter(transcript_of(b"x"), stage, 60.0) is (stage is Stage.SYSTEM)


@pytest.mark.parametrize("stage", Stage)
def test_may_press_enter_after_a_long_silence_but_never_in_a_countdown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_stage, "SILENT_S", -1.0)
    monkeypatch.setattr(boot_stage, "LOADER_SILENT_S", -1.0)

    assert may_press_enter(transcript_of(b"x"), stage, 60.0) is (stage is not Stage.COUNTDOWN)


PROMPTS = (b"# ", b"$ ", b"sh-5.1# ")
FIRMWARE = b"dmidecode -t bios\r\nBIOS Information\r\nUEFI is supported\r\nPress any key to stop\r\n"
BOOTS = {
    b"\r\nU-Boot SPL 2024.04 (Apr 02 2024)\r\n": Stage.LOADER,
    b"\r\nbarebox 2024.04.0\r\n": Stage.LOADER,
    b"\r\n\x1b[2JWelcome to GRUB!\r\n": Stage.LOADER,
    b"\r\nNOTICE:  BL31: v2.9\r\n": Stage.LOADER,
    b"\r\nHit any key to stop autoboot:  3 \b\b\b 2 ": Stage.COUNTDOWN,
    b"\r\n[   99.123456] reboot: Restarting system\r\n": Stage.STARTING,
    b"\r\n[   99.123456] reboot: Restarting system\r\nUEFI v2\r\n": Stage.LOADER,
    b"\r\nRequesting system reboot\r\nTraining DRAM": Stage.LOADER,
}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_stage_ignores_what_a_system_prints_after_a_login(prompt: bytes) -> None:
    transcript = transcript_of(b"U-Boot 2024.04\r\n" + prompt)
    transcript.shell.system_answered(transcript.position)
    transcript.append(FIRMWARE + prompt)

    stage = stage_of(transcript, PROMPT)

    assert (stage, boot_prompt(prompt, stage)) == (Stage.SYSTEM, None)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("first", [b"\r\ndut login: root\r\n", b"[    1.000000] Linux\r\n"])
def test_stage_ignores_what_a_system_prints_after_its_own_lines(first: bytes, prompt: bytes) -> None:
    transcript = transcript_of(first + prompt + FIRMWARE + prompt)

    assert stage_of(transcript, PROMPT) is Stage.SYSTEM


def test_stage_ignores_what_came_within_a_command() -> None:
    transcript = transcript_of(b"hello\r\n# ")
    begin = transcript.position
    transcript.append(FIRMWARE)
    transcript.shell.command_ended(begin, transcript.position)
    transcript.append(b"# ")

    assert stage_of(transcript, PROMPT) is Stage.SYSTEM


@pytest.mark.parametrize("boot", BOOTS)
@pytest.mark.parametrize("is_long", [False, True])
def test_stage_follows_a_boot_that_begins_after_a_login(boot: bytes, is_long: bool) -> None:
    transcript = transcript_of(b"\r\n# ")
    transcript.shell.system_answered(transcript.position)
    transcript.append(boot + b"\r\n.........." * (10_000 if is_long else 0))

    assert stage_of(transcript, PROMPT) is BOOTS[boot]


def test_stage_forgets_a_login_at_the_next_start() -> None:
    transcript = transcript_of(b"\r\n# ")
    transcript.shell.system_answered(transcript.position)
    transcript.mark("reset low", starts_dut=True)
    transcript.append(b"UEFI is here\r\n# ")

    assert stage_of(transcript, PROMPT) is Stage.LOADER
