"""What is known about a board between leases: whether it was left safe, and what was done about it.

One file beside each lock. It holds one page, so that one write replaces it and a killed writer leaves either
the old record or the new one. Only who holds the board's lock writes. A record that cannot be read counts as
"not known to be safe".
"""

from __future__ import annotations

import enum
import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from hil.dutlink.plain_text import plain_line
from hil.lab.holder import Holder, now
from hil.lab.shared_folder import open_shared

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BoardRecord",
    "BoardState",
    "SafetyEvent",
    "boards_of_late",
    "known_boards",
    "read_record",
    "record_path",
    "write_record",
]

RECORD_BYTES = 4096
WHY_SIZE = 400
MOST_EVENTS = 8


class BoardState(enum.StrEnum):
    """What is known of a board that nobody holds."""

    SAFE = "safe"
    IN_USE = "in use"
    """Somebody uses it; where nobody holds it, they and their guard died, and the DUT may be on."""
    PENDING = "pending"
    """It could not be made safe; that is done first when it is held again."""


@dataclass(frozen=True, slots=True)
class SafetyEvent:
    """One attempt to make a board safe.

    Attributes:
        what: "made safe", or "could not be made safe".
        why: What made it necessary; and, where it failed, what stood in the way.
        by: Who did it: "guard", "next holder", or the name of a command.
        amps: What the DUT drew afterwards; None: not measured.
        when: UTC, ISO 8601.
        silent: It failed because the board, though plugged in, did not answer: it may yet, behind a long
            power sequence.
        faulty: It failed although the board answered: it refused, or its DUT still drew current.
    """

    what: str
    why: str
    by: str
    amps: float | None
    when: str
    silent: bool = False
    faulty: bool = False

    def __str__(self) -> str:
        measured = "" if self.amps is None else f", {self.amps:.2f} A measured"
        return f"{self.what} by {self.by} at {self.when}{measured}: {self.why}"

    @classmethod
    def made_safe(cls, why: str, by: str, amps: float | None) -> Self:
        """It worked, just now."""
        return cls("made safe", why[:WHY_SIZE], by, amps, now())

    @classmethod
    def failed(cls, why: str, by: str, *, silent: bool = False, faulty: bool = False) -> Self:
        """It did not work, just now."""
        return cls("could not be made safe", why[:WHY_SIZE], by, None, now(), silent, faulty)


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """A board's record.

    Attributes:
        state: Whether it is safe.
        holder: Who holds or last held it.
        events: What was done to make it safe, the newest last.
        position: Who was given the stick last ("off", "host", "dut"); empty: not known. The board cannot be
            asked, so it may be wrong where something else than hil turned the mux since.
    """

    state: BoardState = BoardState.SAFE
    holder: Holder | None = None
    events: tuple[SafetyEvent, ...] = ()
    position: str = ""

    @property
    def needs_safety(self) -> bool:
        """Whether it must be made safe before anybody uses it."""
        return self.state is not BoardState.SAFE

    def used_by(self, holder: Holder) -> Self:
        """The record while `holder` uses the board."""
        return replace(self, state=BoardState.IN_USE, holder=holder, position="")

    def left_safe(self) -> Self:
        """The record after its holder made it safe and gave it back."""
        return replace(self, state=BoardState.SAFE, position="off")

    def with_position(self, position: str) -> Self:
        """The record after a hand turned the mux."""
        return replace(self, position=position)

    def with_event(self, event: SafetyEvent) -> Self:
        """The record after an attempt to make it safe."""
        state = BoardState.PENDING if event.what == "could not be made safe" else BoardState.SAFE
        position = "off" if state is BoardState.SAFE else ""
        return replace(self, state=state, events=(*self.events, event)[-MOST_EVENTS:], position=position)

    def to_json(self) -> bytes:
        """The record as it is written; the oldest events go where they do not fit."""
        events = list(self.events)
        while True:
            holder = self.holder.to_data() if self.holder else None
            shown = [asdict(event) for event in events]
            facts = {"state": self.state, "holder": holder, "events": shown, "position": self.position}
            text = json.dumps(facts, indent=1).encode()
            if len(text) < RECORD_BYTES or not events:
                return text.ljust(RECORD_BYTES - 1) + b"\n"
            del events[0]

    @classmethod
    def from_json(cls, record: bytes) -> Self:
        """Read a record; an empty one is a board that was never held."""
        if not record.strip():
            return cls()
        try:
            facts: dict[str, Any] = json.loads(record)
            events = tuple(SafetyEvent(**_plain(event)) for event in facts["events"])
            holder = Holder.from_data(facts["holder"])
            return cls(BoardState(facts["state"]), holder, events, str(facts.get("position", "")))
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls(BoardState.PENDING)


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Take what a terminal would obey out of the words of a record, which anybody may have written."""
    return {name: plain_line(value) if isinstance(value, str) else value for name, value in facts.items()}


def record_path(folder: Path, serial: str) -> Path:
    """Where a board's record is."""
    return folder / f"hil-board-{serial}.json"


def known_boards(folder: Path) -> list[str]:
    """The serial numbers of all boards that have a record here, sorted."""
    return sorted(path.stem.removeprefix("hil-board-") for path in folder.glob("hil-board-*.json"))


def boards_of_late(folder: Path, most: int) -> list[str]:
    """The serial numbers of the boards whose records are the newest, the newest first."""
    newest_first = sorted(folder.glob("hil-board-*.json"), key=_written_at, reverse=True)
    return [path.stem.removeprefix("hil-board-") for path in newest_first[:most]]


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0


def read_record(folder: Path, serial: str) -> BoardRecord:
    """Read a board's record; anybody may.

    Raises:
        UsageError: Something else has the file's name.
    """
    descriptor = open_shared(record_path(folder, serial))
    try:
        return BoardRecord.from_json(os.pread(descriptor, RECORD_BYTES, 0))
    finally:
        os.close(descriptor)


def write_record(folder: Path, serial: str, record: BoardRecord) -> None:
    """Replace a board's record. Only for who holds its lock.

    Raises:
        UsageError: Something else has the file's name.
    """
    descriptor = open_shared(record_path(folder, serial))
    try:
        os.pwrite(descriptor, record.to_json(), 0)
    finally:
        os.close(descriptor)
