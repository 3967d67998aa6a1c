"""Count the images that a run is to put on boards, and those that it does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FlashCounts"]


@dataclass(slots=True)
class FlashCounts:
    """How many images a run puts on boards; an image counts once for each board.

    Attributes:
        planned: How many there are at most.
        certain: How many of these do not depend on which of several boards a test gets.
        written: How often each was written, by board and image.
        found: How often each was proven and not written, because the stick held it.
    """

    planned: int = 0
    certain: int = 0
    written: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def put(self, board: str, image: str, *, was_written: bool) -> bool:
        """Count an image that was put on a board; return True if it was not there before, or was written."""
        key = f"{board} {image}"
        is_news = was_written or key not in self.written.keys() | self.found.keys()
        (self.written if was_written else self.found)[key] += 1
        return is_news

    def as_data(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        puts = {"written": dict(self.written), "found": dict(self.found)}
        return {"planned": self.planned, "certain": self.certain, **puts}

    def take_over(self, data: Mapping[str, Any]) -> None:
        """Add the counts of another process of the run; every process plans all images."""
        self.planned = max(self.planned, data["planned"])
        self.certain = max(self.certain, data["certain"])
        self.written.update(data["written"])
        self.found.update(data["found"])

    def lines(self) -> list[str]:
        """Return the line of the summary, if the run had images."""
        put = self.written.keys() | self.found.keys()
        if not self.planned and not put:
            return []
        at_most = "at most " if self.planned > self.certain else ""
        held = len(put) - len(self.written)
        proven_again = self.found.total() - held
        written_again = self.written.total() - len(self.written)
        again = [f"{proven_again} proven again"] if proven_again else []
        again += [f"{written_again} written again"] if written_again else []
        flashes = "flash" if self.planned == 1 else "flashes"
        were = "was" if held == 1 else "were"
        return [
            f"images: {at_most}{self.planned} {flashes} planned, {len(put)} done: "
            f"{len(self.written)} written, {held} {were} on the stick already"
            + (f"; later {', '.join(again)}" if again else "")
        ]
