"""What is known about a board between leases: whether it was left safe, and what was done about it.

One file beside each lock. It holds one page, so that one write replaces it and a killed writer leaves either
the old record or the new one. Only the holder of the board's lock writes.

Any user of the folder may spoil a record. One that cannot be read, or does not mean what records mean, says
"not known to be safe" and what is wrong with its file: the board is made safe before it is used. Nothing is
known of a board without a record. Keys that another version added are ignored.
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
from hil.lab.locks.holder import Holder, cut, now, text_field
from hil.lab.locks.shared_file import open_shared, read_shared, replace_shared
from hil.lab.locks.spoilt_file import owner_name, spoilt_error

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
"""The most that a cause takes as JSON: the newest event always fits."""

NAME_BYTES = 400
"""The most that a stored name takes as JSON: 64 bytes, each of which may become six."""

MOST_EVENTS = 8
MOST_BOARDS = 1000
"""No more records than these, the newest, are looked at: any user may make files in the folder."""

_NAME: Final = re.compile(r"hil-board-([A-Za-z0-9._-]{1,100})\.json")
_POSITIONS: Final = frozenset({"", "off", "host", "dut"})


class BoardState(enum.StrEnum):
    """What is known of a board that nobody holds."""

    SAFE = "safe"
    IN_USE = "in use"
    """A process uses it. If no process holds it, the holder and its guard died, and the DUT may be on."""
    UNSAFE = "pending"
    """It could not be made safe; that is done first when it is held again."""
    UNKNOWN = "not known"
    """No record says it: the host started since, or the folder was removed. Its DUT may be on."""


@dataclass(frozen=True, slots=True)
class SafetyEvent:
    """One attempt to make a board safe.

    Attributes:
        what: "made safe", or "could not be made safe".
        why: What made it necessary; and, where it failed, what stood in the way.
        by: Who did it: "guard", "next holder", or the name of a command.
        amps: What the DUT drew afterwards; None: not measured.
        when: UTC, ISO 8601.
        silent: It failed because the board, though plugged in, did not answer: it may yet, after a long
            power sequence.
        faulty: It failed although the board answered: it refused, or its DUT still drew current.
        was_on: The DUT drew current before.
        transient: It failed for a cause that may pass without the board being plugged in again;
            not read back from a record.
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
        """It worked, just now."""
        return cls("made safe", cut(why[:WHY_SIZE], WHY_BYTES), by, amps, now(), was_on=was_on)

    @classmethod
    def failed(
        cls, why: str, by: str, *, silent: bool = False, faulty: bool = False, transient: bool = False
    ) -> Self:
        """It did not work, just now."""
        cause = cut(why[:WHY_SIZE], WHY_BYTES)
        return cls("could not be made safe", cause, by, None, now(), silent, faulty, transient=transient)

    @classmethod
    def from_data(cls, facts: Any) -> Self:  # noqa: ANN401 - whatever was written
        """Read an event, without what a terminal would obey.

        Raises:
            KeyError, TypeError: It is none.
        """
        words = {name: sanitize_line(text_field(facts, name)) for name in ("what", "why", "by", "when")}
        amps, silent, faulty = facts["amps"], facts.get("silent", False), facts.get("faulty", False)
        if not isinstance(silent, bool) or not isinstance(faulty, bool) or not _is_reading(amps):
            raise TypeError("an event's values are of other types")
        return cls(words["what"], words["why"], words["by"], amps, words["when"], silent, faulty)


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """A board's record.

    Attributes:
        state: Whether it is safe.
        holder: Who holds or last held it.
        events: What was done to make it safe, the newest last.
        position: Who was given the stick last ("off", "host", "dut"); empty: not known. The board cannot be
            asked, so it may be wrong where something else than hil turned the mux since.
        name: The name that the board stored when it was last asked; empty: not known.
        trouble: What is wrong with the file and what mends it, where it cannot be trusted; never written.
    """

    state: BoardState = BoardState.UNKNOWN
    holder: Holder | None = None
    events: tuple[SafetyEvent, ...] = ()
    position: str = ""
    trouble: str = field(default="", compare=False)
    name: str = field(default="", compare=False)

    @property
    def needs_safety(self) -> bool:
        """Whether it must be made safe before it is used, as it is not known to be."""
        return self.state is not BoardState.SAFE

    def marked_in_use(self, holder: Holder) -> Self:
        """The record while `holder` uses the board."""
        return replace(self, state=BoardState.IN_USE, holder=holder, position="")

    def marked_safe(self) -> Self:
        """The record after its holder made it safe and gave it back."""
        return replace(self, state=BoardState.SAFE, position="off")

    def with_position(self, position: str) -> Self:
        """The record after a hand turned the mux."""
        return replace(self, position=position)

    def with_name(self, name: str) -> Self:
        """The record of a board that stores this name."""
        return replace(self, name=cut(name, NAME_BYTES))

    def with_event(self, event: SafetyEvent) -> Self:
        """The record after an attempt to make it safe."""
        state = BoardState.UNSAFE if event.what == "could not be made safe" else BoardState.SAFE
        position = "off" if state is BoardState.SAFE else ""
        return replace(self, state=state, events=(*self.events, event)[-MOST_EVENTS:], position=position)

    def to_json(self) -> bytes:
        """The record as it is written; the oldest events go where they do not fit."""
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
        """Read a record; one that is none, or not all of it, is not known to be safe."""
        try:
            facts: dict[str, Any] = json.loads(record)
            state, position = BoardState(text_field(facts, "state")), str(facts.get("position", ""))
            events = tuple(SafetyEvent.from_data(event) for event in facts["events"][-MOST_EVENTS:])
            holder = Holder.from_data(facts["holder"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls(BoardState.UNSAFE, trouble="it does not hold what records hold")
        name = cut(sanitize_line(str(facts.get("name", ""))), NAME_BYTES)
        return cls(state, holder, events, position if position in _POSITIONS else "", name=name)


def _is_reading(amps: object) -> bool:
    return amps is None or (type(amps) in {int, float} and math.isfinite(amps))  # type: ignore[arg-type]


def record_path(folder: Path, serial: str) -> Path:
    """Where a board's record is."""
    return folder / f"hil-board-{serial}.json"


def known_boards(folder: Path) -> list[str]:
    """The serial numbers of all boards that have a record here, sorted; of too many, the newest."""
    return sorted(newest_boards(folder, MOST_BOARDS))


def newest_boards(folder: Path, most: int) -> list[str]:
    """The serial numbers of the boards whose records are the newest, the newest first."""
    found: list[tuple[float, str]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if name := _NAME.fullmatch(entry.name):
                with suppress(FileNotFoundError):  # removed since it was listed
                    found.append((entry.stat(follow_symlinks=False).st_mtime, name[1]))
    return [serial for _written_at, serial in sorted(found, reverse=True)[:most]]


def read_record(folder: Path, serial: str) -> BoardRecord:
    """Read a board's record; any user may. It never raises for what has its name: see `trouble`."""
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
    """Replace a board's record, also one that cannot be trusted. Only for the holder of its lock.

    A record that cannot be written is no error as long as the next reader takes the board for no safer than
    it is: another user's folder in the record's place says "not known to be safe".

    Raises:
        SpoiltFileError: What has the file's name cannot be replaced, or there is no room, and the next reader
            would take the board for safe.
    """
    try:
        _write(record_path(folder, serial), record.to_json())
    except SpoiltFileError as error:
        if record.needs_safety and not read_record(folder, serial).needs_safety:
            raise
        _LOG.warning("the record of board %s stays as it is: %s", serial, error)


def record_name(folder: Path, board: Board) -> None:
    """Keep the name that a board stores, for others while it is held. Only for the holder of its lock.

    The board is not asked: its name is on record from the first time on that its settings are read.
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
