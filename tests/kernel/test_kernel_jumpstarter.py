"""Jumpstarter's public driver, as published, on a simulated board that the kernel has attached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.sim.dut.image import build_image

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.attached import Bench

LIMIT_S = 240.0
STANDBY_AMPS = 0.02
RESCUE = "p1,rL,aL,w2,rZ,w5,aZ"
"""This DUT starts in rescue mode when pin A is low as its reset ends."""


@pytest.fixture(scope="module")
def facts(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a user of Jumpstarter's driver saw: power, storage, console."""
    if bench.jumpstarter is None:
        pytest.skip("this session has no Jumpstarter; the one in the virtual machine does")
    serial = bench.serials[0]
    bench.restore(serial)
    folder = tmp_path_factory.mktemp("jumpstarter")
    build_image(folder / "image", "jumpstarter-1", 4 << 20)
    user = bench.project / "tests" / "kernel" / "guest" / "jumpstarter_user.py"
    stick = _prepared(serial)
    ran = subprocess.run(
        [sys.executable, user, serial, stick, folder / "image"],
        env={**_without_ours(), "PYTHONPATH": str(bench.jumpstarter), "HOME": str(folder)},
        timeout=LIMIT_S,
        check=False,
        capture_output=True,
        text=True,
    )
    _tidied(serial)
    assert ran.returncode == 0, ran.stderr[-3000:]
    seen: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return seen


def _prepared(serial: str) -> Path:
    """Store what rescue means for this DUT; returns the stick's node, which a lab configures by hand."""
    with open_driver(Host(), serial, console=False) as board:
        board.settings.write(power_rescue=RESCUE)
        board.storage.host()
        node = board.storage.wait_for_node()
        board.make_safe()
    return node


def _tidied(serial: str) -> None:
    with open_driver(Host(), serial, console=False) as board:
        board.settings.write(power_rescue="")
        board.make_safe()


def _without_ours() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("COV", "HIL_", "PYTEST"))
    }


pytestmark = pytest.mark.timeout(LIMIT_S + 20)


def test_it_switches_the_supply_on_and_off(facts: dict[str, Any]) -> None:
    assert facts["on"] > facts["off"] + STANDBY_AMPS


def test_it_brings_the_dut_into_rescue_mode(facts: dict[str, Any]) -> None:
    assert facts["rescue"]


def test_the_dut_boots_what_its_own_writer_wrote_through_the_kernels_disk(facts: dict[str, Any]) -> None:
    assert facts["flashed"] == "jumpstarter-1"


def test_its_console_works_both_ways(facts: dict[str, Any]) -> None:
    assert facts["typed"].startswith("Linux hil-dut")


def test_its_console_reaches_the_boards_shell(facts: dict[str, Any]) -> None:
    assert facts["shell"] == "Jumpstarter test-harness"
