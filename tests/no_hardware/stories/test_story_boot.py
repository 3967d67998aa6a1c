"""From an image file to a DUT that boots it or reports why it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import ExpectError
from hil.sim.dut.image import build_image
from tests.no_hardware.stories.dut_story import IMAGE_BYTES, IMAGE_NAME, LIMIT_S, SPEED, log_in, put_on_stick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.sim.process import SimulatorProcess

SIMULATOR = {"boards": 1, "speed": SPEED, "stick_bytes": IMAGE_BYTES}


@pytest.fixture
def with_second_image(bootable: Board, image: Path, tmp_path: Path) -> Iterator[Board]:
    """A board on whose stick another image was written over the first."""
    build_image(tmp_path / "second.img", "story-2", IMAGE_BYTES)
    put_on_stick(bootable.storage, tmp_path / "second.img")
    yield bootable
    put_on_stick(bootable.storage, image)


def test_boot_prints_the_name_of_the_written_image(bootable: Board) -> None:
    bootable.power.on()

    boot_log = bootable.console.expect("login: ", LIMIT_S).before

    assert f"image: {IMAGE_NAME} ".encode() in boot_log


def test_boot_uses_a_second_image_that_replaced_the_first(with_second_image: Board) -> None:
    with_second_image.power.on()

    boot_log = with_second_image.console.expect("login: ", LIMIT_S).before

    assert b"image: story-2 " in boot_log


def test_boot_without_the_stick_is_reported_by_the_dut(board: Board) -> None:
    board.storage.off()

    board.power.on()

    assert board.console.expect("no stick.*boot> ", LIMIT_S)


def test_boot_prompt_boots_on_enter_with_the_stick(bootable: Board) -> None:
    bootable.storage.off()
    bootable.power.on()
    bootable.console.expect("boot> ", LIMIT_S)

    bootable.storage.dut()
    bootable.console.sendline()

    assert bootable.console.expect(f"running {IMAGE_NAME} .*login: ", LIMIT_S)


def test_expect_reports_a_hanging_boot_with_the_missing_pattern(
    bootable: Board, simulator: SimulatorProcess
) -> None:
    simulator.management.fault(bootable.serial, "hang_in_boot")
    bootable.power.on()
    bootable.console.expect("Linux version", LIMIT_S)

    with pytest.raises(ExpectError, match=r"'login: ' did not come within 1\.\d s"):
        bootable.console.expect("login: ", timeout_s=1.0)


def test_expect_on_a_dut_that_was_on_suggests_power_cycle(bootable: Board) -> None:
    bootable.power.on()
    bootable.console.expect("login: ", LIMIT_S)
    bootable.power.on()

    with pytest.raises(ExpectError) as waited:
        bootable.console.expect("login: ", timeout_s=0.5)

    assert "power.cycle()" in waited.value.remedy


def test_running_system_reports_a_removed_stick(bootable: Board) -> None:
    bootable.power.on()
    log_in(bootable.console)

    bootable.storage.off()

    assert bootable.console.expect("sda: I/O error", LIMIT_S)


def test_transcript_has_the_whole_boot_log_in_order(bootable: Board) -> None:
    before = len(bootable.console.transcript)
    bootable.power.on()
    bootable.console.expect("login: ", LIMIT_S)

    boot_log = bootable.console.transcript.text[before:]

    marks = ["hil boot ROM", "Booting Linux", "Waiting for root device", "Run /sbin/init", "login: "]
    assert sorted(marks, key=boot_log.index) == marks
