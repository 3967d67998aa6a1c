from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import SimulatorError

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess


LIMIT_S = 30.0
SIMULATOR = {"boards": 1, "speed": 50.0}


def test_foreign_disk_appears_vanishes_and_counts_changed_bytes(
    simulator: SimulatorProcess,
) -> None:
    control, sys = simulator.management, Path(simulator.ready["sys"])
    control.plug_disk("one", socket="2-7", serial="ABC", size_bytes=1 << 20)
    told = control.disks()["one"]
    node = Path(told["node"])
    while not node.exists():
        control.disks()
    with node.open("r+b") as disk:
        disk.seek(1000)
        disk.write(b"written")
    changed = control.disks()["one"]["changed_bytes"]
    listed = (sys / "bus/usb/devices/2-7/serial").read_text()

    control.unplug_disk("one")

    assert (told["socket"], changed, listed.strip()) == ("2-7", 512, "ABC")
    assert (node.exists(), control.disks()["one"]["socket"]) == (False, "")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        pytest.param("large", {"size_bytes": 1 << 40}, id="a terabyte"),
        pytest.param("x" * 100, {}, id="a long name"),
        pytest.param("one", {"socket": "2-1/../../../x"}, id="a socket that is a path"),
        pytest.param("one", {"socket": "2-1", "serial": "../../x"}, id="a serial number that is a path"),
    ],
)
def test_foreign_disk_refuses_wrong_values(
    simulator: SimulatorProcess, name: str, facts: dict[str, Any]
) -> None:
    with pytest.raises(SimulatorError, match="no disk can be"):
        simulator.management.plug_disk(name, **facts)


def test_foreign_disk_is_refused_at_a_taken_socket(simulator: SimulatorProcess) -> None:
    simulator.management.plug_disk("two", socket="2-8", size_bytes=1 << 20)

    with pytest.raises(SimulatorError, match="nothing can be plugged in"):
        simulator.management.plug_disk("three", socket="2-8", size_bytes=1 << 20)
