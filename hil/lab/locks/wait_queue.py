"""The line of processes that wait for a board: first come, first served, over all users of the machine.

One file, `hil-queue`, divided into slots. A waiting process locks a slot (an open-file-description lock on
one byte: others can ask about it without touching it) and writes a ticket into it. A ticket counts while its
slot is locked, and the kernel unlocks the slot of a process that ends, however it ends. So nothing has to be
tidied up: a later process takes the slot and writes over it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.lab.locks.holder import Holder
from hil.lab.locks.lock_dir import forget_on_fork, unusable_error
from hil.lab.locks.shared_file import open_shared
from hil.lab.locks.spoilt_file import spoilt_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["NoQueue", "QueueEntry", "Ticket", "waiting"]

LINE_NAME = "hil-queue"
SLOT_BYTES = 4096
MOST_SLOTS = 1024
_FLOCK = struct.Struct("hhqqi0q")  # struct flock: type, whence, start, length, pid


@dataclass(frozen=True, slots=True)
class Ticket:
    """A waiting process.

    Attributes:
        number: When it came: nanoseconds of the machine's monotonic clock, the same for all processes.
        serials: The boards that would do.
        who: The process, and since when it waits.
    """

    number: int
    serials: tuple[str, ...]
    who: Holder

    def to_json(self) -> bytes:
        """The ticket as it is written into a slot."""
        return json.dumps(
            {"number": self.number, "serials": self.serials, "who": self.who.to_data()}
        ).encode()

    @classmethod
    def from_json(cls, slot: bytes) -> Ticket | None:
        """Read a slot; None if it is empty, half written, or was written by another program."""
        try:
            facts = json.loads(slot)
            who, number, serials = Holder.from_data(facts["who"]), facts["number"], facts["serials"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        if who is None or type(number) is not int or not isinstance(serials, list):
            return None
        return cls(number, tuple(serial for serial in serials if isinstance(serial, str)), who)


class QueueEntry:
    """A place at the end of the line, taken when it is made and given up by `close`.

    Args:
        folder: The machine's lock folder.
        serials: The boards that would do.
        who: The process that waits.

    Raises:
        SpoiltFileError: The line's file cannot be used, or it is full.
        UsageError: Its file system gives no locks, or too many boards would do.
    """

    def __init__(self, folder: Path, serials: Sequence[str], who: Holder) -> None:
        ticket = Ticket(time.monotonic_ns(), tuple(serials), who)
        path = folder / LINE_NAME
        self._descriptor = open_shared(path)
        forget_on_fork(self)
        try:
            self._slot = _lock_a_slot(self._descriptor, path)
            _write(self._descriptor, path, self._slot, _padded(ticket))
        except BaseException:
            self.close()
            raise
        self._order = (ticket.number, self._slot)

    @property
    def descriptor(self) -> int:
        """The line's open file, for a bell; it rings when a process joins or leaves."""
        return self._descriptor

    def ahead(self) -> list[Ticket]:
        """Return the tickets of processes that came earlier and still wait, the earliest first."""
        before = [
            (ticket.number, slot, ticket)
            for slot, ticket in _tickets(self._descriptor)
            if slot != self._slot and (ticket.number, slot) < self._order
        ]
        return [ticket for _number, _slot, ticket in sorted(before, key=lambda entry: entry[:2])]

    def close(self) -> None:
        """Leave the line; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class NoQueue:
    """Stand for a place in line where the line's file cannot be used: waiting works, in no order."""

    descriptor = -1

    def ahead(self) -> list[Ticket]:
        """Return nothing: other waiting processes are not known."""
        return []

    def close(self) -> None:
        """Do nothing."""


def waiting(folder: Path) -> list[Ticket]:
    """Return the tickets of all waiting processes, the earliest first; does not join the line."""
    descriptor = open_shared(folder / LINE_NAME)
    try:
        return sorted((ticket for _slot, ticket in _tickets(descriptor)), key=lambda ticket: ticket.number)
    finally:
        os.close(descriptor)


def _padded(ticket: Ticket) -> bytes:
    record = ticket.to_json()
    if len(record) > SLOT_BYTES:
        raise UsageError(
            f"{len(ticket.serials)} boards are too many to wait for at once",
            why=f"a place in line has room for {SLOT_BYTES} bytes",
            remedy="ask for fewer boards, by serial number or tags",
        )
    return record.ljust(SLOT_BYTES)


def _lock_a_slot(descriptor: int, path: Path) -> int:
    for slot in range(MOST_SLOTS):
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot, 1, 0))
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise unusable_error(path, f"its file system gives no locks ({error.strerror})") from error
        else:
            return slot
    raise spoilt_error(path, because=f"a line in which {MOST_SLOTS} processes wait already")


def _write(descriptor: int, path: Path, slot: int, record: bytes) -> None:
    try:
        os.pwrite(descriptor, record, slot * SLOT_BYTES)
    except OSError as error:
        raise spoilt_error(path, error) from error


def _tickets(descriptor: int) -> Iterator[tuple[int, Ticket]]:
    slots = min(MOST_SLOTS, -(-os.fstat(descriptor).st_size // SLOT_BYTES))
    for slot in range(slots):
        if _is_locked(descriptor, slot):
            ticket = Ticket.from_json(os.pread(descriptor, SLOT_BYTES, slot * SLOT_BYTES))
            if ticket is not None:
                yield slot, ticket


def _is_locked(descriptor: int, slot: int) -> bool:
    """Return True if another process has the slot; asking changes nothing."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot, 1, 0)
    answer = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
    return bool(answer[0] != fcntl.F_UNLCK)
