"""What is kept about a board's stick, and where: in this process, or for all processes of the host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hil.dutlink.storage.usb_sockets import StickNames

__all__ = ["LearnedSocket", "OwnMemory", "StickMemory"]


@dataclass(frozen=True, slots=True)
class LearnedSocket:
    """Where and how soon a board's stick came when it was proven.

    Attributes:
        board: The USB port of the board at that time; if it is at another port now, its cables may be others.
        socket: The stick's socket.
        names: The stick's names.
        came_after_s: When it could be used, in seconds after *host*; `NOT_TIMED_S` if that is not known.
        bystanders: The other disks, by `UsbDisk.identity`, that were there while the storage was off.
        source: Another user's file that says so; empty: it can be believed.
    """

    board: str
    socket: str
    names: StickNames
    came_after_s: float
    bystanders: frozenset[str] = frozenset()
    source: str = field(default="", compare=False)


class StickMemory(Protocol):
    """Storage for what is learned about one board's stick."""

    def recall(self) -> LearnedSocket | None:
        """Return what was learned; None if nothing was, or if it cannot be believed."""
        ...

    def keep(self, learned: LearnedSocket) -> None:
        """Keep what was learned, if possible."""
        ...

    def forget(self) -> None:
        """Forget what was learned, because the cabling has changed."""
        ...

    def of_others(self) -> list[tuple[str, LearnedSocket]]:
        """Return what is known of other boards, and what other users say of this one."""
        ...

    def mark_unverified(self, image: str) -> None:
        """Record an image that the stick may boot although it is not verified; empty: there is none."""
        ...

    def unverified_image(self) -> str:
        """Return the image that the stick may boot although it is not verified; empty if there is none."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes of this host see what is kept."""
        ...


class OwnMemory:
    """A `StickMemory` in this process's memory, which no other process sees."""

    is_shared = False

    def __init__(self) -> None:
        self._learned: LearnedSocket | None = None
        self._unverified = ""

    def recall(self) -> LearnedSocket | None:
        """Return what was learned, or None."""
        return self._learned

    def keep(self, learned: LearnedSocket) -> None:
        """Keep what was learned."""
        self._learned = learned

    def forget(self) -> None:
        """Forget what was learned."""
        self._learned = None

    def of_others(self) -> list[tuple[str, LearnedSocket]]:
        """Return an empty list: nothing is known of other boards."""
        return []

    def mark_unverified(self, image: str) -> None:
        """Record the image."""
        self._unverified = image

    def unverified_image(self) -> str:
        """Return the image."""
        return self._unverified
