"""What a lab of boards on other machines must offer; `hil.boards.address` has a table of labs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.boards.board_source import BoardSource
    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.lab.config.lab import Lab

__all__ = ["LeasedBoards", "LeasesOfController", "RemoteLab"]


class LeasesOfController(Protocol):
    """What a worker knows of the boards that the controller has leased for all workers."""

    def way_to(self, serial: str) -> str:
        """Return how to connect to a board that the controller gave to this worker."""
        ...

    def waited_s(self) -> float:
        """Return how long the controller waited for boards, in seconds."""
        ...


class LeasedBoards(Protocol):
    """The boards that the controller of a parallel run has leased."""

    @property
    def infos(self) -> Sequence[BoardInfo]:
        """The boards."""
        ...

    def return_to_lab(self, serial: str) -> None:
        """Give a board back to its lab."""
        ...

    def close(self) -> None:
        """Give back the boards that are left."""
        ...


class RemoteLab(Protocol):
    """A lab. `text` and `client` are the values of `--hil-boards` and `--hil-client`."""

    def check_target(self, text: str, client: str) -> None:
        """Check a value of `--hil-boards`, without connecting to anything.

        Raises:
            UsageError: The value is not understood, or the extra is not installed.
        """
        ...

    def check_client(self, text: str, client: str) -> None:
        """Check that the client's configuration can be loaded, if this value needs one.

        Raises:
            UsageError: There is no such configuration, or it cannot be used.
        """
        ...

    def source(  # noqa: PLR0913 - each is an independent option of the run
        self,
        text: str,
        client: str,
        *,
        lab: Lab,
        wait_s: float,
        tell: Callable[[str], None],
        leases: LeasesOfController | None,
    ) -> BoardSource:
        """Return the source of this process's board of the lab.

        Args:
            text: The value of `--hil-boards`.
            client: The value of `--hil-client`.
            lab: The lab file of this machine, which may describe boards of other machines, too.
            wait_s: How long to wait for boards that others have, in seconds.
            tell: Shows the user a line.
            leases: Boards that the controller has leased; None: this process leases one for itself.
        """
        ...

    def lease_boards(  # noqa: PLR0913 - each is an independent option of the run
        self,
        text: str,
        client: str,
        wait_s: float,
        tell: Callable[[str], None],
        *,
        lab: Lab,
        requirements: Sequence[BoardRequirement],
        workers: int,
    ) -> LeasedBoards:
        """Lease the boards of a parallel run; its controller calls this.

        Raises:
            UnavailableError: The lab has no board for this run.
            UsageError: An argument is not understood.
        """
        ...
