"""Where a run's boards are: this host's USB, simulated boards that somebody asked for, or the fallback.

The one place that puts a simulated host where a real one would be.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hil.dutlink.host import Host
from hil.errors import BoardAbsentError
from hil.sim.control_client import ControlClient
from hil.sim.process import SimulatorProcess
from hil.suite.options import Where

if TYPE_CHECKING:
    from hil.suite.options import BoardsOption

__all__ = ["Hosts", "simulated_host", "start_boards"]


class Hosts:
    """This process's hosts, made when first asked for; `close` ends what was started.

    Args:
        boards: What the run was asked for.
        ready: The ready line of simulated boards that the run's first process started, if it did.
    """

    def __init__(self, boards: BoardsOption, ready: dict[str, Any] | None = None) -> None:
        self._boards = boards
        self._ready = ready
        self._chosen: Host | None = None
        self._fallback: Host | None = None
        self._started: list[SimulatorProcess] = []

    def chosen(self) -> Host:
        """Return the host that the run was asked to use.

        Raises:
            BoardAbsentError: It was asked to use none.
            SimulatorError: Its simulated boards cannot be reached.
        """
        if self._boards.where is Where.NOWHERE:
            raise BoardAbsentError(
                "this run looks for no boards",
                why="--hil-boards none (or HIL_BOARDS=none) says so",
                remedy="--hil-boards usb, or --hil-boards sim:2 for simulated boards",
            )
        if self._chosen is None:
            self._chosen = Host() if self._boards.where is Where.USB else simulated_host(self._ready_line())
        return self._chosen

    def chosen_as_data(self) -> dict[str, Any] | None:
        """Return how another process reaches the chosen host: a call by name; None for this host's USB."""
        if self._boards.where is Where.USB:
            return None
        return {"call": f"{__name__}:simulated_host", "arguments": {"ready": self._ready_line()}}

    def fallback(self) -> Host:
        """Return a host with one simulated board, this process's own.

        Raises:
            SimulatorError: It did not start.
        """
        if self._fallback is None:
            self._fallback = simulated_host(self._start(1).ready)
        return self._fallback

    def close(self) -> None:
        """End the simulated boards that were started here."""
        while self._started:
            self._started.pop().close()

    def _ready_line(self) -> dict[str, Any]:
        if self._ready is None and self._boards.where is Where.RUNNING:
            with ControlClient(self._boards.number) as client:
                self._ready = client.hello()
        if self._ready is None:
            self._ready = self._start(self._boards.number).ready
        return self._ready

    def _start(self, number: int) -> SimulatorProcess:
        process = start_boards(number)
        self._started.append(process)
        return process


def start_boards(number: int) -> SimulatorProcess:
    """Start simulated boards, in real time.

    Raises:
        SimulatorError: They did not start.
    """
    return SimulatorProcess(boards=number)


def simulated_host(ready: dict[str, Any]) -> Host:
    """Return the host of simulated boards whose ready line this is."""
    simulated = importlib.import_module("hil.sim.backend").simulated_host(ready)  # imports pyusb: not before
    return Host(simulated.label, backend=simulated.backend, dev=simulated.dev, sys=simulated.sys)
