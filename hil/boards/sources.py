"""Where a run's boards are: this host's USB, simulated boards that somebody asked for, or the fallback.

The one place that puts a simulated host where a real one would be.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.boards.address import Where
from hil.dutlink.host import Host
from hil.errors import BoardAbsentError
from hil.lab.config.lab import Lab
from hil.lab.this_host import stick_memory, this_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.boards.address import BoardsOption
    from hil.boards.place_info import PlaceInfo
    from hil.boards.remote_source import BoardSharing, RemoteSource
    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.dutlink.wiring import Wiring
    from hil.lab.safe_state.policy import Safety
    from hil.sim.process import SimulatorProcess

__all__ = ["BoardSource", "simulated_host", "start_boards"]


class BoardSource:
    """This process's hosts, made when first asked for; `close` ends what was started.

    Args:
        boards: What the run was asked for.
        ready: The ready line of simulated boards that the run's first process started, if it did.
        wait_s: How long to wait for a board of a Jumpstarter lab that others have, in seconds.
        tell: Shows the user what is waited for there.
        sharing: Who shares out boards of that lab; None: nobody does.
        lab: What this machine's lab file says of boards there, too.
    """

    def __init__(  # noqa: PLR0913 - the last four are for a lab of many hosts
        self,
        boards: BoardsOption,
        ready: dict[str, Any] | None = None,
        *,
        wait_s: float = 0.0,
        tell: Callable[[str], None] = lambda _line: None,
        sharing: BoardSharing | None = None,
        lab: Lab | None = None,
    ) -> None:
        self._boards = boards
        self._wait_s, self._tell, self._sharing, self._lab = wait_s, tell, sharing, lab or Lab()
        self._ready = ready
        self._chosen: Host | None = None
        self._fallback: Host | None = None
        self._started: list[SimulatorProcess] = []

    @cached_property
    def _far(self) -> RemoteSource:
        from hil.boards.remote_source import RemoteSource  # noqa: PLC0415 - for boards of a Jumpstarter lab

        return RemoteSource(self._boards, self._wait_s, self._tell, sharing=self._sharing, lab=self._lab)

    def chosen(self, serial: str | None = None, requirement: BoardRequirement | None = None) -> Host:
        """Return the host that the run was asked to use.

        Args:
            serial: The board that this process was given, if it was: a Jumpstarter lab has a host for each.
            requirement: The kind of board wanted, if no serial is given; None: any.

        Raises:
            BoardAbsentError: It was asked to use none.
            SimulatorError: Its simulated boards cannot be reached.
            UnavailableError: A Jumpstarter lab has none for this process.
        """
        if self._boards.where is Where.JUMPSTARTER:
            return self._far.host(serial, requirement)
        if self._boards.where is Where.NOWHERE:
            raise BoardAbsentError(
                "this run looks for no boards",
                why="--hil-boards none (or HIL_BOARDS=none) says so",
                remedy="--hil-boards usb, or --hil-boards sim:2 for simulated boards",
            )
        if self._chosen is None:
            is_usb = self._boards.where is Where.USB
            self._chosen = this_host() if is_usb else simulated_host(self._ready_line())
        return self._chosen

    def usbip_ports(self) -> set[int]:
        """Return the USB/IP ports of this run's simulated boards, as far as they run by now.

        Raises:
            SimulatorError: Its simulated boards cannot be reached.
        """
        if self._boards.where is Where.RUNNING:
            self._ready_line()
        return {int(ready["usbip_port"]) for ready in self._known()}

    def device_folders(self) -> set[Path]:
        """Return where the device nodes of this run's simulated boards are, as far as these run by now."""
        return {Path(ready["dev"]) for ready in self._known()}

    def _known(self) -> list[dict[str, Any]]:
        known = [process.ready for process in self._started] + [self._ready or {}]
        return [ready for ready in known if ready]

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

    def safety_of(self, serial: str, lab: Lab, answer_s: float) -> Safety:
        """Return how a guard leaves a board of the chosen host.

        Args:
            serial: The board.
            lab: What this machine's lab file says; a board of another machine is made safe by its exporter.
            answer_s: How long a board may be silent, in seconds.
        """
        if self._boards.where is Where.JUMPSTARTER:
            return self._far.safety()
        from hil.lab.safe_state.policy import Safety  # noqa: PLC0415 - `hil power` does without a guard

        reach = {"host": self.chosen_as_data(), "answer_s": answer_s}
        return lab.safety_of(serial, Safety(arguments=reach, limit_s=2 * answer_s))

    def place_of(self, serial: str, lab: Lab) -> PlaceInfo:
        """Return what is said of a board's place, by this machine's lab file or the other machine's."""
        from hil.boards.place_info import PlaceInfo  # noqa: PLC0415 - the same

        here = PlaceInfo.of(lab, serial, simulated=self._boards.simulated)
        return here.before(self._far.place()) if self._boards.where is Where.JUMPSTARTER else here

    def wiring_of(self, serial: str, lab: Lab) -> Wiring:
        """Return how a board is wired: as this machine's lab file says, or as the other machine has it.

        What this machine's file says of the other's DUT goes first.
        """
        here = lab.wiring_of(serial)
        if self._boards.where is not Where.JUMPSTARTER:
            return here
        from hil.dutlink.wiring import UP_TIMEOUT_S  # noqa: PLC0415 - as above

        there = self._far.wiring()
        return replace(
            there,
            login=here.login or there.login,
            up=here.up or there.up,
            up_timeout_s=there.up_timeout_s if here.up_timeout_s == UP_TIMEOUT_S else here.up_timeout_s,
            pace_s=here.pace_s or there.pace_s,
        )

    def info_of(self, serial: str) -> BoardInfo:
        """Return what another machine's lab file says of its board; nothing for one of this machine."""
        from hil.boards.requirements import BoardInfo  # noqa: PLC0415 - for runs alone

        here = self._boards.where is not Where.JUMPSTARTER
        return BoardInfo(serial) if here else self._far.info()

    @property
    def is_remote(self) -> bool:
        """Whether the boards are plugged into other machines."""
        return self._boards.where is Where.JUMPSTARTER

    @property
    def is_extra(self) -> bool:
        """Whether this process got a board of another machine beside those that its run shares out."""
        return self._far.is_extra

    def lock_folder(self) -> Path | None:
        """Return where boards of the chosen host are locked; None: where everybody of this machine does.

        A board of another machine is leased there; here its lock only serves its guard.
        """
        return self._far.lock_folder() if self._boards.where is Where.JUMPSTARTER else None

    def note(self, test: str) -> None:
        """Say on another machine what its board is used for now; on this one its lease says so."""
        self._far.note(test)

    def give_back(self) -> None:
        """Give a board of another machine back to its lab; one of this machine is given back by its lease."""
        self._far.close()

    def close(self) -> None:
        """End the simulated boards that were started here, and what is left of a remote one."""
        self._far.close()
        while self._started:
            self._started.pop().close()

    def _ready_line(self) -> dict[str, Any]:
        if self._ready is None and self._boards.where is Where.RUNNING:
            from hil.sim.management.client import ManagementClient  # noqa: PLC0415 - boards on USB do without

            with ManagementClient(self._boards.number) as client:
                self._ready = client.hello()
        if self._ready is None:
            self._ready = self._start(self._boards.number, self._boards.speed).ready
        return self._ready

    def _start(self, number: int, speed: int = 1) -> SimulatorProcess:
        process = start_boards(number, speed)
        self._started.append(process)
        return process


def start_boards(number: int, speed: int) -> SimulatorProcess:
    """Start simulated boards.

    Args:
        number: How many.
        speed: Simulated seconds per real second.

    Raises:
        SimulatorError: They did not start.
    """
    from hil.sim.process import SimulatorProcess  # noqa: PLC0415 - the same

    return SimulatorProcess(boards=number, speed=speed)


def simulated_host(ready: dict[str, Any]) -> Host:
    """Return the host of simulated boards whose ready line this is."""
    backend = importlib.import_module("hil.sim.backend.backend")  # imports pyusb: not before
    simulated = backend.simulated_host(ready)
    return Host(
        simulated.label,
        backend=simulated.backend,
        dev=simulated.dev,
        sys=simulated.sys,
        stick_memory=stick_memory,
        slowest_stick_s=simulated.slowest_stick_s,
    )
