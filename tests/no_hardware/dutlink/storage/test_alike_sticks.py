"""Two boards flash at the same time with sticks that call themselves alike or by nothing, or card readers."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.dutlink.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.host import Host
    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes

MIB = 1 << 20
SIMULATOR = {"boards": 2, "speed": 10}


@pytest.fixture
def host(simulator: SimulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A machine that remembers nothing of these boards."""
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    yield simulated_host(simulator.ready)
    for serial in simulator.serials():
        simulator.management.clear(serial)


def image(folder: Path, name: str) -> Path:
    content = bytearray(random.Random(name).randbytes(2 * MIB))  # noqa: S311 - no secret
    content[510:512] = b"\x55\xaa"
    file = folder / name
    file.write_bytes(content)
    return file


def flash(host: Host, serial: str, file: Path, wiring: Wiring | None = None) -> None:
    with open_driver(host, serial, wiring, console=False) as board:
        board.storage.flash(file, force=True)


def is_on(simulator: SimulatorProcess, serial: str, file: Path) -> bool:
    return (
        Path(simulator.management.state(serial)["stick"]["path"]).read_bytes().startswith(file.read_bytes())
    )


@pytest.mark.parametrize("model", [
    {"told": "0123456789AB"},
    {"told": ""},
    {"told": "0123456789AB", "empty_slots": 3},
    {"told": "", "empty_slots": 1},
], ids=str)  # fmt: skip
def test_flash_works_on_two_boards_at_once_whose_sticks_have_equal_names(
    simulator: SimulatorProcess, host: Host, tmp_path: Path, model: dict[str, object]
) -> None:
    boards = simulator.serials()
    for serial in boards:
        simulator.management.fault(serial, "stick_model", **model)
    for turn in ("first", "again"):  # the second time their sockets are known
        images = {serial: image(tmp_path, f"{serial}-{turn}") for serial in boards}

        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda serial: flash(host, serial, images[serial]), boards))  # noqa: B023

        assert [is_on(simulator, serial, file) for serial, file in images.items()] == [True, True]


def test_flash_writes_no_other_disk_if_the_wired_name_leads_to_another_board_s_stick(
    simulator: SimulatorProcess, host: Host, tmp_path: Path
) -> None:
    one, other = simulator.serials()
    for serial in (one, other):
        simulator.management.fault(serial, "stick_model", told="0123456789AB")
    wiring = Wiring(stick=host.dev / "disk/by-id/usb-HIL_Simulated_Stick_0123456789AB-0:0")
    flash(host, one, image(tmp_path, "before"), wiring)
    flash(host, other, image(tmp_path, "other's"))
    file = image(tmp_path, "after")

    with open_driver(host, other, console=False) as board:
        board.storage.host()
        board.storage.wait_for_node()
        flash(host, one, file, wiring)
        board.storage.off()

    assert is_on(simulator, one, file)
    assert is_on(simulator, other, tmp_path / "other's")
