from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import SimulatorError

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess


LIMIT_S = 30.0
SIMULATOR = {"boards": 1, "speed": 50.0}


def test_a_stranger_s_disk_comes_and_goes_and_what_is_written_to_it_is_counted(
    simulator: SimulatorProcess,
) -> None:
    control, sys = simulator.control, Path(simulator.ready["sys"])
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
def test_strangers_refuses_a_disk_of_odd_facts(
    simulator: SimulatorProcess, name: str, facts: dict[str, Any]
) -> None:
    with pytest.raises(SimulatorError, match="no disk can be"):
        simulator.control.plug_disk(name, **facts)


def test_a_socket_takes_one_disk(simulator: SimulatorProcess) -> None:
    simulator.control.plug_disk("two", socket="2-8", size_bytes=1 << 20)

    with pytest.raises(SimulatorError, match="nothing can be plugged in"):
        simulator.control.plug_disk("three", socket="2-8", size_bytes=1 << 20)
