"""A simulated board that is served by Jumpstarter's session, by a process of its own, and clients of that."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal
from jumpstarter.client import client_from_path

from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.sim.backend.backend import simulated_host
from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.from_thread import BlockingPortal

    from hil.dutlink.board import Board

__all__ = ["MIB", "Served", "client", "connected", "served_by_both"]

MIB = 1 << 20
RIVAL = Path(__file__).with_name("jumpstarter_rival.py")


@dataclass(frozen=True)
class Served:
    """A board that a process serves.

    Attributes:
        address: Where, HOST:PORT.
        pid: The process.
        simulator: The board's.
    """

    address: str
    pid: int
    simulator: SimulatorProcess

    def cpu_s(self) -> float:
        """Seconds of CPU time that it has used, all of its threads together."""
        threads = Path("/proc", str(self.pid), "task").glob("*/schedstat")
        return sum(int(spent.read_text().split()[0]) for spent in threads) / 1e9


@contextmanager
def served_by_both(folder: Path, speed: float, stick_bytes: int) -> Iterator[tuple[Served, Served]]:
    """One simulated board with a small system on its stick, by Jumpstarter's own driver and by ours.

    Args:
        folder: For temporary files.
        speed: How many times faster than a real one it is.
        stick_bytes: Size of its stick.
    """
    with SimulatorProcess(boards=1, speed=speed, stick_bytes=stick_bytes) as simulator, ExitStack() as stack:
        node = _boot(simulator, folder / "small")
        theirs, ours = (stack.enter_context(_served(kind, simulator, node)) for kind in ("theirs", "ours"))
        yield theirs, ours


@contextmanager
def connected(served: Served) -> Iterator[Any]:
    """Jumpstarter's client of it, by a connection of its own."""
    with (
        start_blocking_portal() as portal,
        ExitStack() as stack,
        portal.wrap_async_context_manager(client(served.address, portal, stack)) as connection,
    ):
        yield connection


def client(address: str, portal: BlockingPortal, stack: ExitStack) -> Any:
    """Connect Jumpstarter's client to an address."""
    return client_from_path(address, portal, stack, allow=[], unsafe=True, insecure=True)


def _boot(simulator: SimulatorProcess, image: Path) -> Path:
    """Put a small system onto the stick, for a console that says something; returns the stick's node."""
    build_image(image, "bench-1", 4 * MIB)
    with _board(simulator) as board:
        board.storage.flash(image)
        board.storage.host()
        node: Path = board.storage.wait_for_node()
        board.storage.dut()
    return node


@contextmanager
def _board(simulator: SimulatorProcess) -> Iterator[Board]:
    there = simulated_host(simulator.ready)
    with open_driver(Host(there.label, there.backend, there.dev, there.sys), console=False) as board:
        yield board


@contextmanager
def _served(kind: str, simulator: SimulatorProcess, stick: Path) -> Iterator[Served]:
    """A process that serves the board with one of the drivers."""
    ready = simulator.ready
    command = [sys.executable, str(RIVAL), kind, ready["boards"][0]["serial"], str(ready["control_port"])]
    process = subprocess.Popen(
        [*command, str(stick)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield Served(f"127.0.0.1:{process.stdout.readline().strip()}", process.pid, simulator)
        process.stdin.close()
