"""The file of the queue for boards: all processes that wait, in the order in which they came.

Which of them is first in line for a board is worked out in `first_in_line.py`.

The queue is one file, `hil-queue`, divided into slots. A waiting process locks a slot (an open file
description lock on one byte, which other processes can query without changing it) and writes a ticket into
it. A ticket counts while its slot is locked. The kernel unlocks the slot of a process that ends, however it
ends; a later process takes the slot and overwrites the ticket.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from hil.dutlink.borrowed_lease import FLOCK
from hil.errors import SpoiltFileError, UsageError
from hil.forked_child import forget_on_fork
from hil.lab.locks.holder import Holder
from hil.lab.locks.lock_dir import spoilt_error, unusable_error
from hil.lab.locks.shared_file import open_shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["NoQueue", "QueueEntry", "Ticket", "waiting_tickets"]

QUEUE_NAME = "hil-queue"
SLOT_BYTES = 4096
MOST_SLOTS = 1024
SHOW_ALIVE_NS = 900_000_000


class Ticket(NamedTuple):
    """A waiting process.

    Attributes:
        number: When it joined: nanoseconds of the machine's monotonic clock, the same for all processes.
        serials: The boards that would do.
        holder: The process, and since when it waits.
        needs: How many of the boards it needs at once.
        alive_ns: When it last showed that it runs, by the same clock; only a process that needs several does.
    """

    number: int
    serials: tuple[str, ...]
    holder: Holder
    needs: int = 1
    alive_ns: int = 0

    def to_json(self) -> bytes:
        """Return the ticket as it is written into a slot."""
        several = {"needs": self.needs, "alive_ns": self.alive_ns} if self.needs > 1 else {}
        return json.dumps(
            {"number": self.number, "serials": self.serials, "who": self.holder.to_data(), **several}
        ).encode()

    @classmethod
    def from_json(cls, slot: bytes) -> Ticket | None:
        """Return the ticket in a slot, or None if it is empty, half written, or another program's."""
        try:
            facts = json.loads(slot)
            holder, number, serials = Holder.from_data(facts["who"]), facts["number"], facts["serials"]
            needs, alive_ns = int(facts.get("needs", 1)), int(facts.get("alive_ns", 0))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            return None
        if holder is None or type(number) is not int or not isinstance(serials, list):
            return None
        known = tuple(serial for serial in serials if isinstance(serial, str))
        return cls(number, known, holder, needs, alive_ns)


class QueueEntry:
    """A place at the end of the queue, until `close`.

    Args:
        folder: The machine's lock folder.
        serials: The boards that would do.
        holder: The process that waits.
        needs: How many of the boards it needs at once.

    Raises:
        SpoiltFileError: The queue's file cannot be used, or is full.
        UsageError: Its file system has no locks, or too many boards would do.
    """

    def __init__(self, folder: Path, serials: Sequence[str], holder: Holder, needs: int = 1) -> None:
        now_ns = time.monotonic_ns()
        self._ticket = Ticket(now_ns, tuple(serials), holder, needs, now_ns)
        self._path = folder / QUEUE_NAME
        self._descriptor = open_shared(self._path)
        forget_on_fork(self)
        try:
            self._slot = _lock_a_slot(self._descriptor, self._path)
            _write(self._descriptor, self._path, self._slot, _padded(self._ticket))
        except BaseException:
            self.close()
            raise
        self._order = (self._ticket.number, self._slot)

    @property
    def descriptor(self) -> int:
        """The queue's open file, for a `FileWatch`; it changes when a process joins or leaves."""
        return self._descriptor

    def ahead(self) -> list[Ticket]:
        """Return the tickets of processes that joined earlier and still wait, the earliest first."""
        before = [
            (ticket.number, slot, ticket)
            for slot, ticket in _tickets(self._descriptor)
            if slot != self._slot and (ticket.number, slot) < self._order
        ]
        return [ticket for _number, _slot, ticket in sorted(before, key=lambda entry: entry[:2])]

    def show_alive(self) -> None:
        """Write that this process runs, each second, if it needs several boards.

        The boards do not show whether it runs: it leaves a free board alone until the others are free.
        """
        now_ns = time.monotonic_ns()
        if self._ticket.needs > 1 and now_ns - self._ticket.alive_ns > SHOW_ALIVE_NS:
            self._ticket = self._ticket._replace(alive_ns=now_ns)
            with suppress(SpoiltFileError):
                _write(self._descriptor, self._path, self._slot, _padded(self._ticket))

    def close(self) -> None:
        """Leave the queue; may be repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class NoQueue:
    """Used if the queue's file cannot be used: processes wait in no order."""

    descriptor = -1

    def ahead(self) -> list[Ticket]:
        """Return an empty list, because other waiting processes are not known."""
        return []

    def show_alive(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def waiting_tickets(folder: Path) -> list[Ticket]:
    """Return the tickets of all waiting processes, the earliest first."""
    descriptor = open_shared(folder / QUEUE_NAME)
    try:
        return sorted((ticket for _slot, ticket in _tickets(descriptor)), key=lambda ticket: ticket.number)
    finally:
        os.close(descriptor)


def _padded(ticket: Ticket) -> bytes:
    record = ticket.to_json()
    if len(record) > SLOT_BYTES:
        raise UsageError(
            f"{len(ticket.serials)} boards are too many to wait for at once",
            why=f"the list of boards must fit into {SLOT_BYTES} bytes",
            remedy="ask for fewer boards, by serial number or tags",
        )
    return record.ljust(SLOT_BYTES)


def _lock_a_slot(descriptor: int, path: Path) -> int:
    for slot in range(MOST_SLOTS):
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot, 1, 0))
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise unusable_error(path, f"its file system has no locks ({error.strerror})") from error
        else:
            return slot
    raise spoilt_error(path, because=f"a queue in which {MOST_SLOTS} processes wait already")


def _write(descriptor: int, path: Path, slot: int, record: bytes) -> None:
    try:
        os.pwrite(descriptor, record, slot * SLOT_BYTES)
    except OSError as error:
        raise spoilt_error(path, error) from error


def _tickets(descriptor: int) -> Iterator[tuple[int, Ticket]]:
    slots = min(MOST_SLOTS, -(-os.fstat(descriptor).st_size // SLOT_BYTES))
    for slot in range(slots):
        if _is_slot_locked(descriptor, slot):
            ticket = Ticket.from_json(os.pread(descriptor, SLOT_BYTES, slot * SLOT_BYTES))
            if ticket is not None:
                yield slot, ticket


def _is_slot_locked(descriptor: int, slot: int) -> bool:
    """Return True if another process has locked the slot."""
    asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot, 1, 0)
    answer = FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
    return bool(answer[0] != fcntl.F_UNLCK)
