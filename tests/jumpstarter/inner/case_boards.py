"""Tests that the runs of `tests/jumpstarter` run on a lab; written as for a local board."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.image import build_image

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.dutlink.power.power import Power
    from hil.dutlink.storage.storage import Storage

SIGNS = Path(os.environ["HIL_TEST_SIGNS"])
LIMIT_S = 60.0


def _wait_for(sign: str) -> None:
    ends = time.monotonic() + LIMIT_S
    while not (SIGNS / sign).exists():
        assert time.monotonic() < ends, f"no sign {sign} within {LIMIT_S} s"
        time.sleep(0.02)


def _wait_for_power(power: Power) -> None:
    ends = time.monotonic() + LIMIT_S  # the meter's average takes its two seconds
    while power.read().volts < 1.0:
        assert time.monotonic() < ends, "the DUT has no power"


@pytest.mark.parametrize("number", range(2))
def test_each_worker_has_a_board_of_its_own(
    dutlink: Board, power: Power, console: Console, number: int
) -> None:
    (SIGNS / f"met-{number}").write_text(dutlink.serial)
    _wait_for(f"met-{1 - number}")  # both at once, so two workers, and two boards

    power.on()

    assert console.expect("boot> ", timeout_s=30)
    _wait_for_power(power)


def test_it_holds_a_powered_board(dutlink: Board, power: Power) -> None:
    power.on()
    (SIGNS / "holding").write_text(dutlink.serial)
    _wait_for("go on")

    _wait_for_power(power)


def test_it_has_the_board_next(power: Power) -> None:
    assert abs(power.read().amps) < 0.1


def test_it_logs_in(dutlink: Board, power: Power, storage: Storage, console: Console, tmp_path: Path) -> None:
    build_image(tmp_path / "image", "lab-1", 4 << 20)
    storage.flash(tmp_path / "image")
    storage.dut()
    power.on()
    dutlink.wait_until_up()

    console.login()  # as the exporter's lab file says

    assert console.run("echo in").output == "in"


class Halting:
    """Progress that waits before chunks are sent."""

    def begin(self, phase: str, total_bytes: int | None) -> None:
        if phase == "send":
            assert total_bytes
            (SIGNS / "flashing").touch()
            _wait_for("go on")

    def advance(self, size_bytes: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


def test_it_flashes_and_halts(power: Power, storage: Storage, dutlink: Board, tmp_path: Path) -> None:
    (SIGNS / "flashes").write_text(dutlink.serial)
    (tmp_path / "image").write_bytes(os.urandom(4 << 20))
    power.on()

    storage.flash(tmp_path / "image", progress=Halting())


def test_its_worker_is_killed(dutlink: Board, power: Power) -> None:
    power.on()
    (SIGNS / "pid.new").write_text(f"{os.getpid()} {dutlink.serial}")
    (SIGNS / "pid.new").rename(SIGNS / "pid")
    _wait_for("go on")


def test_it_needs_no_board() -> None:
    (SIGNS / "plain").touch()


def test_it_goes_on_for_long_without_any() -> None:
    (SIGNS / "goes on").touch()
    _wait_for("go on")
