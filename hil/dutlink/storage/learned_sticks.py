"""What is learned about the sockets at which the sticks of boards come, and what to believe of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.storage.mux_timing import NOT_TIMED_S
from hil.dutlink.storage.stick_memory import LearnedSocket
from hil.dutlink.storage.usb_sockets import UsbDisk, board_is_at, disks_by_socket

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.storage.mux_timing import Arrival
    from hil.dutlink.storage.stick_memory import StickMemory

__all__ = ["LearnedSticks"]


class LearnedSticks:
    """What is learned about the stick of one board, and about the sticks of other boards.

    Args:
        serial: The board's serial number.
        usb_port: The USB port of the board (`1-2.3`); empty if it is not known.
        sys: The folder of the host's kernel for disks.
        memory: Keeps what is learned.

    Attributes:
        is_relearning: Whether the socket was forgotten, because cables may have been swapped. Then other
            users' files are not believed.
    """

    def __init__(self, serial: str, usb_port: str, sys: Path, memory: StickMemory) -> None:
        self.is_relearning = False
        self._serial = serial
        self._usb_port = usb_port
        self._sys = sys
        self._memory = memory

    @property
    def is_shared(self) -> bool:
        """Whether other processes of this host can see what is learned."""
        return self._memory.is_shared

    def recall(self) -> LearnedSocket | None:
        """Return what was learned, or None if nothing was or the board is at another USB port now."""
        known = self._memory.recall()
        return known if known is not None and known.board == self._usb_port else None

    def learn(self, proven: Arrival, bystanders: frozenset[str]) -> None:
        """Keep the socket of a proven stick, if it is new.

        Args:
            proven: The stick's arrival.
            bystanders: The other disks that were there while the storage was off.
        """
        disk = proven.disk
        known = self.recall()
        if known is None or not (
            (known.socket, known.names, known.bystanders) == (disk.socket, disk.names, bystanders)
            and proven.came_about(known.came_after_s)
        ):
            after_s = proven.after_s if proven.is_timed else NOT_TIMED_S
            learned = LearnedSocket(self._usb_port, disk.socket, disk.names, after_s, bystanders)
            self._memory.keep(learned)

    def forget(self) -> None:
        """Forget the stick's socket, because the cabling may have changed."""
        self._memory.forget()
        self.is_relearning = True

    def matching(self, arrivals: dict[str, Arrival]) -> Arrival | None:
        """Return the disk that came as it was learned, unless another one came at the same time after *host*.

        If cables were swapped, another board's mux may attach a disk at this socket, while this board's mux
        attaches one elsewhere.
        """
        known = self.recall()
        arrival = arrivals.get(known.socket) if known else None
        if known is None or arrival is None or arrival.disk.names != known.names:
            return None
        alike = [one for one in arrivals.values() if one.came_about(known.came_after_s)]
        return arrival if alike == [arrival] and arrival.is_timed else None

    def sockets_of_others(self) -> frozenset[str]:
        """Return the sockets of other boards' sticks."""
        return frozenset(
            learned.socket for _, learned in self._others() if not (self.is_relearning and learned.source)
        )

    def is_of_another(self, disk: UsbDisk) -> bool:
        """Return True if a disk is the stick of another board.

        Another user's claim is ignored if a further file assigns the socket to this board.
        """
        claimed = {one.socket for serial, one in self._memory.of_others() if serial == self._serial}
        return any(
            (one.socket, one.names) == (disk.socket, disk.names)
            for _, one in self._others()
            if not one.source or one.socket not in claimed
        )

    def claimed_by_others(self, bystanders: frozenset[str]) -> list[tuple[UsbDisk, str, LearnedSocket]]:
        """Return the disks that came at sockets of other boards' sticks, with the boards' serial numbers."""
        now, sockets = disks_by_socket(self._sys), self.sockets_of_others()
        return [
            (now[learned.socket], serial, learned)
            for serial, learned in self._others()
            if learned.socket in now.keys() & sockets and now[learned.socket].identity not in bystanders
        ]

    def _others(self) -> list[tuple[str, LearnedSocket]]:
        """Return what is known of other boards that are still at their USB ports."""
        return [
            (serial, learned)
            for serial, learned in self._memory.of_others()
            if serial != self._serial and board_is_at(self._sys, learned.board, serial)
        ]
