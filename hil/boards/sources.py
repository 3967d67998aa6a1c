"""Where boards are: this host's USB, a simulator, or nowhere. `remote_source` adds the boards of other hosts.

This is the only module that puts a simulated host in the place of a real one.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.boards.address import Where
from hil.dutlink.discovery import ANSWER_LIMIT_S, serials_on
from hil.dutlink.host import Host
from hil.errors import BoardAbsentError, UsageError
from hil.lab.config.lab import Lab
from hil.lab.this_host import stick_memory, this_host

if TYPE_CHECKING:
    from hil.boards.address import BoardsOption
    from hil.boards.place_info import PlaceInfo
    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.dutlink.wiring import Wiring
    from hil.lab.safe_state.policy import Safety
    from hil.sim.process import SimulatorProcess

__all__ = ["BoardSource", "NoSource", "SimulatedSource", "UsbSource", "simulated_host", "source_of"]


class BoardSource:
    """Boards, and what is known of each without asking it; the methods here are those of a local source.

    Args:
        lab: The lab file of this machine.

    Attributes:
        is_remote: Whether the boards are plugged into other machines.
        is_simulated: Whether the boards are simulated ones.
    """

    is_remote = False
    is_simulated = False

    def __init__(self, lab: Lab | None = None) -> None:
        self._lab = lab or Lab()

    def host(self, serial: str | None = None, requirement: BoardRequirement | None = None) -> Host:
        """Return the host of the boards; the first call starts or connects to what is needed.

        Args:
            serial: The board that the controller gave to this process, or None: a remote source has a host
                for each board.
            requirement: Which boards will do if no serial number is given; None: any.

        Raises:
            BoardAbsentError: The run uses no boards.
            SimulatorError: The simulated boards cannot be reached.
            UnavailableError: A remote source has no board for this process.
        """
        raise NotImplementedError

    def list_names(self) -> dict[str, str]:
        """Return the serial number of each board, present now or not, by a name that is the same in each run.

        A remote source has names of exporters in place of serial numbers.

        Raises:
            HilError: The boards cannot be listed.
        """
        return {serial: serial for serial in sorted(serials_on(self.host()))}

    def listed_name(self, serial: str) -> str:  # noqa: ARG002 - most boards have names of a lab file
        """Return the name that the source itself gives to a board; empty if it gives none."""
        return ""

    def safety(self, answer_s: float = ANSWER_LIMIT_S) -> Safety:
        """Return how a guard makes a board of this source safe.

        Args:
            answer_s: How long a board may be silent, in seconds.
        """
        from hil.lab.safe_state.policy import Safety  # noqa: PLC0415 - `hil power` does without a guard

        arguments = {"host": self.host().recipe, "answer_s": answer_s}
        return Safety(arguments=arguments, limit_s=2 * answer_s)

    def safety_of(self, serial: str, answer_s: float = ANSWER_LIMIT_S) -> Safety:
        """Return `safety()` with the board's policy from the lab file."""
        return self._lab.safety_of(serial, self.safety(answer_s))

    def place_of(self, serial: str) -> PlaceInfo:
        """Return what lab files say of a board's place."""
        from hil.boards.place_info import PlaceInfo  # noqa: PLC0415 - `hil power` does without it

        return PlaceInfo.of(self._lab, serial, simulated=self.is_simulated)

    def wiring_of(self, serial: str) -> Wiring:
        """Return how lab files say that a board is wired."""
        return self._lab.wiring_of(serial)

    def remote_info_of(self, serial: str) -> BoardInfo:
        """Return the name and tags that a remote lab file gives to a board; empty for a local board."""
        from hil.boards.requirements import BoardInfo  # noqa: PLC0415 - `hil power` does without it

        return BoardInfo(serial)

    @property
    def is_extra(self) -> bool:
        """Whether this process leased a remote board that the controller did not give to it."""
        return False

    def lock_folder(self) -> Path | None:
        """Return the folder for the locks of the boards, or None for the folder that all users share."""
        return None

    def note(self, test: str) -> None:
        """Tell a remote exporter which test uses its board; a local lease has the test in its lock file."""

    def give_back(self) -> None:
        """Give a remote board back to its lab; a local board is free when its lease is released."""

    def close(self) -> None:
        """End what this source started."""

    def address(self) -> str:
        """Return a value of `HIL_BOARDS` by which another program finds these boards; empty if none does."""
        return ""

    def usbip_ports(self) -> set[int]:
        """Return the USB/IP ports of the simulated boards that run now.

        Raises:
            SimulatorError: The simulated boards cannot be reached.
        """
        return set()

    def device_folders(self) -> set[Path]:
        """Return the folders with the device nodes of the simulated boards that run now."""
        return set()


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
        return {f"sim-{number}": board["serial"] for number, board in enumerate(self.ready()["boards"], 1)}

    def listed_name(self, serial: str) -> str:
        """Return `sim-1` for the first board."""
        return next((name for name, one in self.list_names().items() if one == serial), "")

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
        ready = self.ready() if self._control_port else self._ready
        return {int(ready["usbip_port"])} if ready else set()

    def device_folders(self) -> set[Path]:
        """Return the folder with the device nodes of the simulator, if it runs."""
        return {Path(self._ready["dev"])} if self._ready else set()

    def close(self) -> None:
        """End the simulator if this source started it."""
        process, self._process = self._process, None
        if process is not None:
            process.close()


def source_of(
    boards: BoardsOption, *, ready: dict[str, Any] | None = None, lab: Lab | None = None
) -> BoardSource:
    """Return the source of boards of this machine; those of other machines have a `RemoteSource`.

    Args:
        boards: Where to look for boards.
        ready: The ready line of simulated boards that another process started, if one did.
        lab: The lab file of this machine.
    """
    if boards.where is Where.STARTED:
        return SimulatedSource(boards.number, speed=boards.speed, ready=ready, lab=lab)
    if boards.where is Where.RUNNING:
        return SimulatedSource(control_port=boards.number, ready=ready, lab=lab)
    return UsbSource(lab) if boards.where is Where.USB else NoSource(lab)


def simulated_host(ready: dict[str, Any]) -> Host:
    """Return the host of the simulated boards that have this ready line."""
    backend = importlib.import_module("hil.sim.backend.backend")  # imports pyusb: not before
    simulated = backend.simulated_host(ready)
    return Host(
        simulated.label,
        backend=simulated.backend,
        dev=simulated.dev,
        sys=simulated.sys,
        stick_memory=stick_memory,
        slowest_stick_s=simulated.slowest_stick_s,
        recipe={"call": f"{__name__}:{simulated_host.__name__}", "arguments": {"ready": ready}},
    )
