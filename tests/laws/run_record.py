"""What happened in a run, in one order: requests at the boards, faults, and what tests and pytest told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.laws.lease_witness import Lease

_VENDOR = 0x40
_TYPE_MASK = 0x60
_IN = 0x80
_REFRESH, _CONFIG, _READ = 0, 3, 4
_VERSION = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A control request as it reached a board.

    Attributes:
        at: Its place in the record's order.
        time_s: Seconds of the monotonic clock.
        board: Serial number.
        pid: The process that sent it.
        is_look: Whether it only reads serial number, version or settings, or refreshes.
        lease: The board's lease at this moment.
        text: What it was.
    """

    at: int
    time_s: float
    board: str
    pid: int
    is_look: bool
    lease: Lease | None
    text: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a process of the run told the desk."""

    at: int
    time_s: float
    what: str
    pid: int
    facts: dict[str, Any]


@dataclass(slots=True)
class Spell:
    """A time in which a board is not as it should be.

    Attributes:
        kind: As the fault is called.
        board: Serial number.
        began_s: Seconds of the monotonic clock.
        began_at: Its place in the record's order.
        was_leased: Whether a process used the board under a lease when it began.
        ended_s: Seconds of the monotonic clock; None: it goes on.
    """

    kind: str
    board: str
    began_s: float
    began_at: int
    was_leased: bool = False
    ended_s: float | None = None

    def overlaps(self, since_s: float, until_s: float) -> bool:
        """Return True if any of it was between these moments."""
        return self.began_s <= until_s and (self.ended_s is None or self.ended_s >= since_s)


@dataclass
class Record:
    """All that happened in one run.

    Attributes:
        requests: In their order.
        told: In their order.
        spells: In the order of their beginnings.
        plugged_at: Where in the order each board was plugged in or out.
        order: Counts up.
    """

    requests: list[Request] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    spells: list[Spell] = field(default_factory=list)
    plugged_at: dict[str, list[int]] = field(default_factory=dict)
    order: int = 0

    def next(self) -> int:
        """Return the next place in the order."""
        self.order += 1
        return self.order

    def note_request(self, board: str, sender: str, setup: tuple[int, int, int], lease: Lease | None) -> None:
        """Take down a request."""
        kind, what, value = setup
        pid = int(sender.removeprefix("pid ")) if sender.startswith("pid ") else 0
        text = f"bmRequestType={kind:#04x} bRequest={what} wValue={value}"
        self.requests.append(
            Request(self.next(), time.monotonic(), board, pid, _is_look(kind, what, value), lease, text)
        )

    def tell(self, what: str, pid: int, facts: dict[str, Any]) -> None:
        """Take down what a process told."""
        self.told.append(Told(self.next(), time.monotonic(), what, pid, facts))

    def begin(self, kind: str, board: str, *, was_leased: bool = False) -> Spell:
        """Take down that a fault begins."""
        spell = Spell(kind, board, time.monotonic(), self.next(), was_leased)
        self.spells.append(spell)
        return spell

    @property
    def pids(self) -> set[int]:
        """The processes that took part."""
        return {told.pid for told in self.told} | {request.pid for request in self.requests}

    def all(self, *whats: str) -> Iterator[Told]:
        """Yield what was told of these kinds."""
        return (told for told in self.told if told.what in whats)


def _is_look(kind: int, what: int, value: int) -> bool:
    """Return True for a standard request, a refresh, and the reading of version or settings."""
    if kind & _TYPE_MASK != _VENDOR:
        return True
    if kind & _IN:
        return what == _CONFIG or (what == _READ and value == _VERSION)
    return what == _REFRESH
