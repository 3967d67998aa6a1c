"""Which boards a test could use: by tags, by serial number, by name.

The controller knows the boards, a worker knows the tests; a `BoardRequirement` is what travels between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.dutlink.console.sanitize import sanitize_line

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ANY_BOARD", "BoardInfo", "BoardRequirement", "matching_serials", "split_tags"]


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """One board of this host, as far as a test may choose by it.

    Attributes:
        serial: Its serial number, unique on this host.
        name: The name in its settings; may be empty, and is not unique.
        tags: The tags in its settings.
        way: How a worker gets to it, where it is on another machine; empty: by its serial number.
    """

    serial: str
    name: str = ""
    tags: frozenset[str] = frozenset()
    way: str = ""

    def __str__(self) -> str:
        words = f"{self.name or 'no name'}; {' '.join(sorted(self.tags)) or 'no tags'}"
        return f"{self.serial} ({sanitize_line(words)})"


@dataclass(frozen=True, slots=True)
class BoardRequirement:
    """What a test wants of the board that it runs on.

    Attributes:
        tags: All of these must be among the board's tags.
        board: A serial number or a name; empty means any board.
    """

    tags: frozenset[str] = frozenset()
    board: str = ""

    @property
    def is_any(self) -> bool:
        """Whether every board will do, so that nobody needs to ask boards for their names and tags."""
        return not self.tags and not self.board

    def __str__(self) -> str:
        words = [f"called {self.board}"] if self.board else []
        words += [f"tagged {' '.join(sorted(self.tags))}"] if self.tags else []
        return " and ".join(words) or "of any kind"

    def fits(self, info: BoardInfo) -> bool:
        """Whether that board will do."""
        return self.tags <= info.tags and self.board in ("", info.serial, info.name)


ANY_BOARD = BoardRequirement()


def matching_serials(requirement: BoardRequirement | None, infos: Iterable[BoardInfo]) -> frozenset[str]:
    """Serial numbers of the boards that will do; none for a test without a requirement."""
    if requirement is None:
        return frozenset()
    return frozenset(info.serial for info in infos if requirement.fits(info))


def split_tags(tags: str | Iterable[str]) -> list[str]:
    """Split tags at commas and white space, as a board's setting holds them."""
    return tags.replace(",", " ").split() if isinstance(tags, str) else list(tags)
