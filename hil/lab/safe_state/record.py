"""The record of a board between leases: whether it was left safe, and what was done to make it safe.

Each record is a file beside the board's lock file. It is one page long, so that one write replaces it and a
killed writer leaves either the old record or the new one. Only the holder of the board's lock writes it.

Any user of the folder may spoil a record. A record that cannot be read, or has wrong values, counts as "not
known to be safe" and says what is wrong with its file: the board is made safe before it is used. The state of
a board without a record is unknown. Keys that another version of hil added are ignored.
"""

from __future__ import annotations

import enum
import json
import logging
import math
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from hil.dutlink.console.sanitize import sanitize_line
from hil.errors import SpoiltFileError
from hil.lab.locks.holder import Holder, text_field, truncate, utc_now
from hil.lab.locks.lock_dir import owner_name, spoilt_error
from hil.lab.locks.shared_file import open_shared, read_shared, replace_shared

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board

__all__ = [
    "BoardRecord",
    "BoardState",
    "SafetyEvent",
    "known_boards",
    "newest_boards",
    "read_record",
    "record_name",
    "record_path",
    "write_record",
]

_LOG = logging.getLogger(__name__)

RECORD_BYTES = 4096
WHY_SIZE = 400
WHY_BYTES = 900
"""The most bytes of a cause as JSON, so that the newest event always fits."""

NAME_BYTES = 400
"""The most bytes of a stored name as JSON: 64 bytes, each of which may take six."""

MOST_EVENTS = 8
MOST_BOARDS = 1000
"""Only this many records, the newest, are read, because any user may make files in the folder."""

_NAME: Final = re.compile(r"hil-board-([A-Za-z0-9._-]{1,100})\.json")
_POSITIONS: Final = frozenset({"", "off", "host", "dut"})


class BoardState(enum.StrEnum):
    """What is known of a board that is not leased."""

    SAFE = "safe"
    IN_USE = "in use"
    """A process uses the board. If no process leases it, holder and guard died, and the DUT may be on."""
    UNSAFE = "pending"
    """The board could not be made safe; the next holder makes it safe first."""
    UNKNOWN = "not known"
    """There is no record: the host started since, or the folder was removed. The DUT may be on."""


@dataclass(frozen=True, slots=True)
class SafetyEvent:
    """One attempt to make a board safe.

    Attributes:
        what: "made safe", or "could not be made safe".
        why: Why the board had to be made safe; after a failure, also the error.
        by: Who made the attempt: "guard", "next holder", or the name of a command.
        amps: What the DUT drew afterwards; None if it was not measured.
        when: UTC, ISO 8601.
        silent: The attempt failed because the board, though plugged in, did not answer: it may answer after a
            long power sequence.
        faulty: The attempt failed although the board answered: it refused, or its DUT still drew current.
        was_on: The DUT drew current before.
        transient: The attempt failed for a cause that may pass without the board being plugged in again; not
            read back from a record.
    """

    what: str
    why: str
    by: str
    amps: float | None
    when: str
    silent: bool = False
    faulty: bool = False
    was_on: bool = False
    transient: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        measured = "" if self.amps is None else f", {self.amps:z.2f} A measured"
        return f"{self.what} by {self.by} at {self.when}{measured}: {self.why}"

    @classmethod
    def made_safe(cls, why: str, by: str, amps: float | None, *, was_on: bool = False) -> Self:
        """Return the event of an attempt that just succeeded."""
        return cls("made safe", truncate(why[:WHY_SIZE], WHY_BYTES), by, amps, utc_now(), was_on=was_on)

    @classmethod
    def failed(
        cls, why: str, by: str, *, silent: bool = False, faulty: bool = False, transient: bool = False
    ) -> Self:
        """Return the event of an attempt that just failed."""
        cause = truncate(why[:WHY_SIZE], WHY_BYTES)
        return cls("could not be made safe", cause, by, None, utc_now(), silent, faulty, transient=transient)

    @classmethod
    def from_data(cls, facts: Any) -> Self:  # noqa: ANN401 - whatever was written
        """Return the event in a record, without anything that a terminal would obey.

        Raises:
            KeyError, TypeError: The data is no event.
        """
        words = {name: sanitize_line(text_field(facts, name)) for name in ("what", "why", "by", "when")}
        amps, silent, faulty = facts["amps"], facts.get("silent", False), facts.get("faulty", False)
        if not isinstance(silent, bool) or not isinstance(faulty, bool) or not _is_reading(amps):
            raise TypeError("an event has a value of a wrong type")
        return cls(words["what"], words["why"], words["by"], amps, words["when"], silent, faulty)


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """A board's record.

    Attributes:
        state: Whether the board is safe.
        holder: Its holder, or its last holder.
        events: The attempts to make it safe, the newest last.
        position: The storage position that hil last set ("off", "host", "dut"); empty if it is not known. The
            board cannot tell its position, so this is wrong if something else than hil turned the mux since.
        trouble: What is wrong with the file, and what fixes it; empty if nothing is. Never written.
        name: The name that the board stored when hil last read it; empty if it is not known.
    """

    state: BoardState = BoardState.UNKNOWN
    holder: Holder | None = None
    events: tuple[SafetyEvent, ...] = ()
    position: str = ""
    trouble: str = field(default="", compare=False)
    name: str = field(default="", compare=False)

    @property
    def needs_safety(self) -> bool:
        """True if the board must be made safe before it is used, because it is not known to be safe."""
        return self.state is not BoardState.SAFE

    @property
    def abandoned(self) -> str:
        """How a board that is marked in use, and that no process leases, was left; empty in other states."""
        if self.state is not BoardState.IN_USE:
            return ""
        return (
            f"{self.holder.name if self.holder else 'its holder'} and its guard ended without giving it back"
        )

    @property
    def last_attempt(self) -> SafetyEvent | None:
        """The attempt to make the board safe that led to its state; None if it was used since."""
        return self.events[-1] if self.events and self.state is not BoardState.IN_USE else None

    def marked_in_use(self, holder: Holder) -> Self:
        """Return the record while `holder` uses the board."""
        return replace(self, state=BoardState.IN_USE, holder=holder, position="")

    def marked_safe(self) -> Self:
        """Return the record after the holder made the board safe and released it."""
        return replace(self, state=BoardState.SAFE, position="off")

    def with_position(self, position: str) -> Self:
        """Return the record after the mux was turned to this position."""
        return replace(self, position=position)

    def with_name(self, name: str) -> Self:
        """Return the record of a board that stores this name."""
        return replace(self, name=truncate(name, NAME_BYTES))

    def with_event(self, event: SafetyEvent) -> Self:
        """Return the record after an attempt to make the board safe."""
        state = BoardState.UNSAFE if event.what == "could not be made safe" else BoardState.SAFE
        position = "off" if state is BoardState.SAFE else ""
        return replace(self, state=state, events=(*self.events, event)[-MOST_EVENTS:], position=position)

    def to_json(self) -> bytes:
        """Return the content of the file, without the oldest events if they do not fit."""
        events = list(self.events)
        while True:
            holder = self.holder.to_data() if self.holder else None
            shown = [asdict(event) for event in events]
            facts = {
                "state": self.state,
                "holder": holder,
                "events": shown,
                "position": self.position,
                "name": self.name,
            }
            text = json.dumps(facts, indent=1).encode()
            if len(text) < RECORD_BYTES or not events:
                return text.ljust(RECORD_BYTES - 1) + b"\n"
            del events[0]

    @classmethod
    def from_json(cls, record: bytes) -> Self:
        """Return the record in a file; an incomplete or wrong one counts as not known to be safe."""
        try:
            facts: dict[str, Any] = json.loads(record)
            state, position = BoardState(text_field(facts, "state")), str(facts.get("position", ""))
            events = tuple(SafetyEvent.from_data(event) for event in facts["events"][-MOST_EVENTS:])
            holder = Holder.from_data(facts["holder"])
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return cls(BoardState.UNSAFE, trouble="it is no valid record")
        name = truncate(sanitize_line(str(facts.get("name", ""))), NAME_BYTES)
        return cls(state, holder, events, position if position in _POSITIONS else "", name=name)


def _is_reading(amps: object) -> bool:
    return amps is None or (type(amps) in {int, float} and math.isfinite(amps))  # type: ignore[arg-type]


def record_path(folder: Path, serial: str) -> Path:
    """Return the path of a board's record."""
    return folder / f"hil-board-{serial}.json"


def known_boards(folder: Path) -> list[str]:
    """Return the serial numbers of all boards with a record, sorted; at most `MOST_BOARDS`, the newest."""
    return sorted(newest_boards(folder, MOST_BOARDS))


def newest_boards(folder: Path, most: int) -> list[str]:
    """Return the serial numbers of the boards with the newest records, the newest first."""
    found: list[tuple[float, str]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if name := _NAME.fullmatch(entry.name):
                with suppress(OSError):  # removed since it was listed; it must not hide the others
                    found.append((entry.stat(follow_symlinks=False).st_mtime, name[1]))
    return [serial for _written_at, serial in sorted(found, reverse=True)[:most]]


def read_record(folder: Path, serial: str) -> BoardRecord:
    """Return a board's record; any user may read it. Never raises: what is wrong is in `trouble`."""
    path = record_path(folder, serial)
    try:
        record = BoardRecord.from_json(read_shared(path, RECORD_BYTES))
    except FileNotFoundError:
        return BoardRecord()
    except SpoiltFileError as error:
        return BoardRecord(BoardState.UNSAFE, trouble=f"{error.what}: {error.why}; {error.remedy}")
    if not record.trouble:
        return record
    owner = ""
    with suppress(OSError):
        owner = f" of {owner_name(path.lstat().st_uid)}"
    return replace(record, trouble=f"{path}{owner}: {record.trouble}; hil safe {serial} writes it again")


def write_record(folder: Path, serial: str, record: BoardRecord) -> None:
    """Replace a board's record, also a spoilt one; only for the holder of the board's lock.

    If the record cannot be written, but the next reader will not take the board for safer than it is, only
    log a warning: another user's folder in the record's place counts as "not known to be safe".

    Raises:
        SpoiltFileError: The file cannot be replaced, or there is no room, and the next reader would take the
            board for safe.
    """
    try:
        _write(record_path(folder, serial), record.to_json())
    except SpoiltFileError as error:
        if record.needs_safety and not read_record(folder, serial).needs_safety:
            raise
        _LOG.warning("the record of board %s stays as it is: %s", serial, error)


def record_name(folder: Path, board: Board) -> None:
    """Record the name that a board stores, for other users while it is leased; only for the lease's holder.

    Does not ask the board: `board.stored_name` is known once its settings have been read.
    """
    if board.stored_name is None:
        return
    was = read_record(folder, board.serial)
    record = was.with_name(board.stored_name)
    if record.name != was.name and not was.trouble:
        write_record(folder, board.serial, record)


def _write(path: Path, text: bytes) -> None:
    try:
        descriptor = open_shared(path, text)
    except SpoiltFileError:
        replace_shared(path, text)
        return
    try:
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, RECORD_BYTES)
    except OSError as error:
        raise spoilt_error(path, error) from error
    finally:
        os.close(descriptor)
