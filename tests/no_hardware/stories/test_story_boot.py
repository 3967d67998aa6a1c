"""From an image file to a DUT that boots it, or says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dut_story import IMAGE_BYTES, IMAGE_NAME, LIMIT_S, SPEED, log_in, put_on_stick

from hil.errors import ExpectError
from hil.sim.dut.image import build_image

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


def test_a_dut_boots_the_image_that_was_written_and_names_it(bootable: Board) -> None:
    bootable.power.on()

    boot_log = bootable.console.expect("login: ", LIMIT_S).before

    assert f"image: {IMAGE_NAME} ".encode() in boot_log


def test_a_second_image_replaces_the_first(with_second_image: Board) -> None:
    with_second_image.power.on()

    boot_log = with_second_image.console.expect("login: ", LIMIT_S).before

    assert b"image: story-2 " in boot_log


def test_a_dut_whose_stick_nobody_gave_it_says_so(board: Board) -> None:
    board.storage.off()

    board.power.on()

    assert board.console.expect("no stick.*boot> ", LIMIT_S)


def test_a_dut_boots_on_enter_once_it_has_its_stick(bootable: Board) -> None:
    bootable.storage.off()
    bootable.power.on()
    bootable.console.expect("boot> ", LIMIT_S)

    bootable.storage.dut()
    bootable.console.sendline()

    assert bootable.console.expect(f"running {IMAGE_NAME} .*login: ", LIMIT_S)


def test_a_boot_that_hangs_is_told_by_what_did_not_come(bootable: Board, simulator: SimulatorProcess) -> None:
    simulator.control.fault(bootable.serial, "hang_in_boot")
    bootable.power.on()
    bootable.console.expect("Linux version", LIMIT_S)

    with pytest.raises(ExpectError, match=r"'login: ' did not come within 1\.\d s"):
        bootable.console.expect("login: ", timeout_s=1.0)


def test_a_boot_that_is_waited_for_on_a_dut_that_was_on_already_leads_to_power_cycle(bootable: Board) -> None:
    bootable.power.on()
    bootable.console.expect("login: ", LIMIT_S)
    bootable.power.on()

    with pytest.raises(ExpectError) as waited:
        bootable.console.expect("login: ", timeout_s=0.5)

    assert "power.cycle()" in waited.value.remedy


def test_a_running_system_complains_when_its_stick_is_taken_away(bootable: Board) -> None:
    bootable.power.on()
    log_in(bootable.console)

    bootable.storage.off()

    assert bootable.console.expect("sda: I/O error", LIMIT_S)


def test_the_transcript_has_the_whole_boot_log_in_order(bootable: Board) -> None:
    before = len(bootable.console.transcript)
    bootable.power.on()
    bootable.console.expect("login: ", LIMIT_S)

    boot_log = bootable.console.transcript.text[before:]

    marks = ["hil boot ROM", "Booting Linux", "Waiting for root device", "Run /sbin/init", "login: "]
    assert sorted(marks, key=boot_log.index) == marks
