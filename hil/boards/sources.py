"""Where boards are: this host's USB, a simulator, a lab of other hosts, or nowhere.

This is the only module that puts a simulated host in the place of a real one.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.boards.address import Where, remote_lab
from hil.boards.board_source import BoardSource
from hil.dutlink.host import Host
from hil.errors import BoardAbsentError, UsageError, name_boards
from hil.lab.config.lab import Lab
from hil.lab.this_host import stick_memory, this_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.boards.address import BoardsOption
    from hil.boards.remote_lab import LeasesOfController
    from hil.boards.requirements import BoardRequirement
    from hil.dutlink.wiring import Wiring
    from hil.sim.process import SimulatorProcess

__all__ = ["HostSource", "NoSource", "SimulatedSource", "UsbSource", "simulated_host", "source_of"]


class UsbSource(BoardSource):
    """The boards on this host's USB."""

    def host(self, serial: str | None = None, requirement: BoardRequirement | None = None) -> Host:  # noqa: ARG002 - one host for all
        """Return this host."""
        return this_host()

    def address(self) -> str:
        """Return the word for this host's USB."""
        return "usb"


class HostSource(BoardSource):
    """The boards of a host that a program has made.

    Args:
        host: The host.
        lab: The lab file of this machine.
        wiring: The surroundings of the board that is opened; None: as the lab file has them.

    Raises:
        UsageError: No guard could reach the boards of this host.
    """

    def __init__(self, host: Host, lab: Lab | None = None, wiring: Wiring | None = None) -> None:
        super().__init__(lab)
        if host.recipe is None and host.backend is not None:
            raise UsageError(
                f"the boards of {host.label} cannot be leased by this program",
                why="its pyusb backend belongs to this process, so no guard reaches them: if the program "
                "were killed, the DUT would stay on",
                remedy="hil.this_host() for USB, hil.boards.sources.simulated_host(ready) for a simulator",
            )
        self._host = host
        self._wiring = wiring
        self.is_simulated = host.recipe is not None

    def host(self, serial: str | None = None, requirement: BoardRequirement | None = None) -> Host:  # noqa: ARG002 - one host for all
        """Return the host."""
        return self._host

    def wiring_of(self, serial: str) -> Wiring:
        """Return the surroundings that the program named, or those of the lab file."""
        return self._wiring or super().wiring_of(serial)


class NoSource(BoardSource):
    """The source of a run with `--hil-boards none`."""

    def host(self, serial: str | None = None, requirement: BoardRequirement | None = None) -> Host:  # noqa: ARG002 - the interface's
        """Raise why there is no host.

        Raises:
            BoardAbsentError: Always.
        """
        raise BoardAbsentError(
            "this run looks for no boards",
            why="--hil-boards none (or HIL_BOARDS=none) says so",
            remedy="--hil-boards usb, or --hil-boards sim:2 for simulated boards",
        )


class SimulatedSource(BoardSource):
    """Simulated boards: of a simulator that runs, or of one that this source starts when it is first used.

    Args:
        number: How many boards to start.
        speed: Simulated seconds per real second, for boards to start.
        control_port: Management port of a simulator that runs; 0: start one.
        ready: The ready line of a simulator that another process started, if one did.
        lab: The lab file of this machine.
    """

    is_simulated = True

    def __init__(
        self,
        number: int = 1,
        *,
        speed: int = 1,
        control_port: int = 0,
        ready: dict[str, Any] | None = None,
        lab: Lab | None = None,
    ) -> None:
        super().__init__(lab)
        self._number = number
        self._speed = speed
        self._control_port = control_port
        self._ready = ready
        self._process: SimulatorProcess | None = None
        self._host: Host | None = None

    def host(self, serial: str | None = None, requirement: BoardRequirement | None = None) -> Host:  # noqa: ARG002 - one host for all
        """Return the simulated host.

        Raises:
            SimulatorError: The simulator did not start, or cannot be reached.
        """
        if self._host is None:
            self._host = simulated_host(self.ready())
        return self._host

    def list_names(self) -> dict[str, str]:
        """Return the boards as sim-1, sim-2 and so on: their serial numbers differ from run to run."""
        return dict(self.host().names)

    def listed_name(self, serial: str) -> str:
        """Return `sim-1` for the first board."""
        return self.host().name_of(serial)

    def ready(self) -> dict[str, Any]:
        """Return the ready line of the simulator, which is started if need be.

        Raises:
            SimulatorError: The simulator did not start, or cannot be reached.
        """
        if self._ready is None and self._control_port:
            from hil.sim.management.client import ManagementClient  # noqa: PLC0415 - boards on USB do without

            with ManagementClient(self._control_port) as client:
                self._ready = client.hello()
        if self._ready is None:
            from hil.sim.process import SimulatorProcess  # noqa: PLC0415 - only sources that start one need it

            self._process = SimulatorProcess(boards=self._number, speed=self._speed)
            self._ready = self._process.ready
        return self._ready

    def address(self) -> str:
        """Return the address of the simulator, which runs from then on."""
        return f"sim@{self.ready()['control_port']}"

    def usbip_ports(self) -> set[int]:
        """Return the USB/IP port of the simulator, if it runs."""
        ready = self._ready_if_it_runs()
        return {int(ready["usbip_port"])} if ready else set()

    def device_folders(self) -> set[Path]:
        """Return the folder with the device nodes of the simulator, if it runs."""
        ready = self._ready_if_it_runs()
        return {Path(ready["dev"])} if ready else set()

    def _ready_if_it_runs(self) -> dict[str, Any] | None:
        """Return the ready line of a simulator that runs by now; start none."""
        return self.ready() if self._control_port else self._ready

    def close(self) -> None:
        """End the simulator if this source started it."""
        process, self._process = self._process, None
        if process is not None:
            process.close()


def source_of(  # noqa: PLR0913 - each by keyword; most are for one kind of source
    boards: BoardsOption,
    *,
    ready: dict[str, Any] | None = None,
    lab: Lab | None = None,
    wait_s: float = 0.0,
    tell: Callable[[str], None] = lambda _line: None,
    leases: LeasesOfController | None = None,
) -> BoardSource:
    """Return the source of the boards that an option names.

    Args:
        boards: Where to look for boards.
        ready: The ready line of simulated boards that another process started, if one did.
        lab: The lab file of this machine.
        wait_s: How long a remote source waits for boards that others have, in seconds.
        tell: Shows the user a line of a remote source.
        leases: Remote boards that a controller has leased, if one has.
    """
    remote = remote_lab(boards.text)
    if remote is not None:
        return remote.source(
            boards.text, boards.client, lab=lab or Lab(), wait_s=wait_s, tell=tell, leases=leases
        )
    if boards.where is Where.STARTED:
        return SimulatedSource(boards.number, speed=boards.speed, ready=ready, lab=lab)
    if boards.where is Where.RUNNING:
        return SimulatedSource(control_port=boards.number, ready=ready, lab=lab)
    return UsbSource(lab) if boards.where is Where.USB else NoSource(lab)


def simulated_host(ready: dict[str, Any]) -> Host:
    """Return the host of the simulated boards that have this ready line."""
    backend = importlib.import_module("hil.sim.backend.backend")  # imports pyusb: not before
    simulated = backend.simulated_host(ready)
    names = {f"sim-{number}": board["serial"] for number, board in enumerate(ready["boards"], 1)}
    name_boards(names)
    return Host(
        simulated.label,
        backend=simulated.backend,
        dev=simulated.dev,
        sys=simulated.sys,
        stick_memory=stick_memory,
        slowest_stick_s=simulated.slowest_stick_s,
        recipe={"call": f"{__name__}:{simulated_host.__name__}", "arguments": {"ready": ready}},
        names=names,
    )
