"""The interface of all sources of boards: this host's USB, simulated boards, labs of other hosts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.dutlink.discovery import ANSWER_LIMIT_S, serials_on
from hil.lab.config.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hil.boards.place_info import PlaceInfo
    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.dutlink.host import Host
    from hil.dutlink.wiring import Wiring
    from hil.lab.safe_state.policy import Safety

__all__ = ["BoardSource"]


class BoardSource:
    """Boards, and what is known of each without asking it; the methods here are those of a local source.

    A method that does nothing here, or returns an empty value, is for the remote source, which has a line,
    leases and names of its own: `RemoteSource` in `hil.jumpstarter.client`.

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

    def another(self) -> BoardSource:
        """Return the source of a further board for the same test; a remote source has one board only."""
        return self

    @contextmanager
    def line(
        self,
        needs: Sequence[BoardRequirement],  # noqa: ARG002 - of remote sources
        wait_s: float,  # noqa: ARG002 - of remote sources
    ) -> Iterator[Callable[[float], None]]:
        """Stand in line for several boards at once; this process must hold none.

        Yields a function that waits until they can be acquired, for a given number of seconds, and reserves
        them: `host` of this source, and of those from `another`, returns their hosts in the order of the
        needs. A local source has no line of its own: its leases have one.

        Args:
            needs: What each board must be.
            wait_s: How long this process waits in all, in seconds.

        Raises:
            UnavailableError: The lab cannot be reached; by the function: the time is over.
        """
        yield lambda _left_s: None

    def look_again(self) -> None:
        """Forget which requirements a remote lab could not meet before."""

    def return_to_lab(self) -> None:
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
