"""The hand at the cable: USB/IP as a stock client speaks it, against the simulated boards' own server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.guest import plugger

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

STATUS = """\
hub port sta spd dev      sockfd local_busid
hs  0000 006 002 00010002 000003 1-1
hs  0001 004 000 00000000 000000 0-0
ss  0008 004 000 00000000 000000 0-0
"""
SIMULATOR = {"boards": 2, "speed": 20}


@pytest.fixture
def vhci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for vhci_hcd's in sysfs."""
    (tmp_path / "status").write_text(STATUS, "ascii")
    monkeypatch.setattr(plugger, "VHCI", tmp_path)
    return tmp_path


@pytest.fixture
def server(simulator: SimulatorProcess) -> tuple[str, int]:
    return ("127.0.0.1", simulator.ready["usbip_port"])


def test_it_sees_every_board_that_may_be_imported(server: tuple[str, int]) -> None:
    assert plugger.exported(server) == ["1-1", "1-2"]


def test_it_tells_the_kernel_port_socket_device_and_speed(vhci: Path, server: tuple[str, int]) -> None:
    port = plugger.attach(server, "1-1", {})

    told, _descriptor, _device, speed = (vhci / "attach").read_text("ascii").split()
    assert (port, told, speed) == (1, "1", "2")


@pytest.mark.usefixtures("vhci")
def test_what_is_not_there_cannot_be_attached(server: tuple[str, int]) -> None:
    assert plugger.attach(server, "2-1", {}) is None


@pytest.mark.usefixtures("vhci")
@pytest.mark.parametrize(("speed", "port"), [(2, 1), (3, 1), (5, 8)])
def test_a_device_gets_a_free_port_of_its_hub(speed: int, port: int) -> None:
    assert plugger.free_port(speed, None, set()) == port


@pytest.mark.parametrize(
    ("usual", "others", "port"), [(3, {1, 2, 3}, 3), (0, set(), 1), (None, {1, 2}, 3), (None, {1, 2, 3}, 1)]
)
def test_free_port_keeps_a_device_at_its_port(
    vhci: Path, usual: int | None, others: set[int], port: int
) -> None:
    free = "".join(f"hs  000{number} 004 000 00000000 000000 0-0\n" for number in (2, 3))
    (vhci / "status").write_text(STATUS + free, "ascii")

    assert plugger.free_port(2, usual, others) == port


def test_no_free_port_is_an_error(vhci: Path) -> None:
    (vhci / "status").write_text(STATUS.replace("004", "006"), "ascii")

    with pytest.raises(LookupError, match="no free hs port"):
        plugger.free_port(2, None, set())
