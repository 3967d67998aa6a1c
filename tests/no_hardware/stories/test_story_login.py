"""Commands of a logged-in user on the DUT."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.no_hardware.stories.dut_story import (
    IMAGE_BYTES,
    IMAGE_NAME,
    LIMIT_S,
    SPEED,
    answer,
    boot_and_log_in,
    comes_to_draw,
    log_in,
)

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console

SIMULATOR = {"boards": 1, "speed": SPEED, "stick_bytes": IMAGE_BYTES}


@pytest.fixture
def root(bootable: Board) -> Console:
    """The console, with root's prompt on it."""
    return boot_and_log_in(bootable)


def test_uname_names_the_system(root: Console) -> None:
    assert answer(root, "uname -a").startswith("Linux hil-dut ")


def test_etc_image_names_the_booted_image(root: Console) -> None:
    assert answer(root, "cat /etc/image").startswith(f"{IMAGE_NAME} ")


def test_sha256sum_of_the_stick_is_that_of_the_image(root: Console, image: Path) -> None:
    digest = hashlib.sha256(image.read_bytes()).hexdigest()

    assert answer(root, "sha256sum /dev/sda") == f"{digest}  /dev/sda"


def test_unknown_command_fails_with_a_status(root: Console) -> None:
    answer(root, "no-such-command")

    assert answer(root, "echo $?") == "127"


def test_ctrl_c_ends_a_command(root: Console) -> None:
    root.sendline("sleep 3600")
    root.expect("sleep 3600\r\n", LIMIT_S)

    root.send(b"\x03")

    assert root.expect(r"\^C\r\n# ", LIMIT_S)


def test_reboot_ends_at_the_login_prompt_again(root: Console) -> None:
    root.sendline("reboot")
    root.expect("Restarting system", LIMIT_S)

    log_in(root)

    assert answer(root, "echo back") == "back"


def test_load_raises_the_current(bootable: Board, root: Console) -> None:
    root.sendline("load 60 1.4")

    assert comes_to_draw(bootable.power, 1.35, 1.45)


def test_end_of_a_load_lowers_the_current_again(bootable: Board, root: Console) -> None:
    root.sendline("load 60 1.4")
    comes_to_draw(bootable.power, 1.35, 1.45)

    root.send(b"\x03")

    assert comes_to_draw(bootable.power, 0.3, 0.4)


def test_poweroff_leaves_the_dut_with_little_current(bootable: Board, root: Console) -> None:
    root.sendline("poweroff")
    root.expect("reboot: Power down", LIMIT_S)

    assert comes_to_draw(bootable.power, 0.01, 0.04)
