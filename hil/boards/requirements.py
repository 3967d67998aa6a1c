"""Requirements of tests on their board: tags, a serial number or a name; and the words that they may have.

The controller knows the boards, and workers know the tests; workers send a `BoardRequirement` for each test.
A misspelt word is an error, not a missing board. It counts as misspelt only if every board on the bus has
told its name and tags: a board that has not may be the required one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hil.dutlink.console.sanitize import sanitize_line
from hil.errors import UsageError, with_names
from hil.nearest import meant, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.lab.config.lab import Lab

__all__ = [
    "ANY_BOARD",
    "BoardInfo",
    "BoardRequirement",
    "KnownWords",
    "key_on",
    "matching_serials",
    "split_tags",
]

_SERIAL = re.compile(r"[0-9a-f]{8}")
_LIKE_A_SERIAL = 0.75  # at most two of eight digits differ; unrelated serial numbers share fewer digits


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """What requirements can select of a board.

    Attributes:
        serial: Its serial number, unique on its host.
        name: Its name; may be empty, and is not unique.
        tags: Its tags.
        way: How a worker connects to a remote board; empty for a local board.
        exporter: The name of a remote board's exporter; empty for a local board.
    """

    serial: str
    name: str = ""
    tags: frozenset[str] = frozenset()
    way: str = ""
    exporter: str = ""

    def __str__(self) -> str:
        words = f"{self.name or 'no name'}; {' '.join(sorted(self.tags)) or 'no tags'}"
        return f"{self.serial} ({sanitize_line(words)})"


@dataclass(frozen=True, slots=True)
class BoardRequirement:
    """The boards that a test can run on.

    Attributes:
        tags: The board must have all of these tags.
        board: Its serial number or its name; empty for any board.
        among: Serial numbers or names of exporters, of which it must have one; empty for any board.
        role: The name by which a test that uses several boards calls this one; empty: its index.
        partners: The requirements on the further boards that the test uses at the same time.
        images: Boards, each with the image that the test would have there, as a key; the board "" stands for
            all others. Tests with one image run together, because a flash takes time. No board is refused for
            it; no key, or an empty one: any image will do.
    """

    tags: frozenset[str] = frozenset()
    board: str = ""
    among: frozenset[str] = frozenset()
    role: str = ""
    partners: tuple[BoardRequirement, ...] = ()
    images: tuple[tuple[str, str], ...] = ()

    @property
    def needs(self) -> tuple[BoardRequirement, ...]:
        """The requirement on each board of the test, the first board's first."""
        return (self, *self.partners)

    @property
    def roles(self) -> tuple[str | int, ...]:
        """The key of each board in the fixture `dutlinks`."""
        return tuple(one.role or index for index, one in enumerate(self.needs))

    @property
    def is_any(self) -> bool:
        """Whether every board will do."""
        return not self.has_words and not self.among

    @property
    def has_words(self) -> bool:
        """Whether boards need to be asked for their names and tags."""
        return bool(self.tags or self.board)

    def __str__(self) -> str:
        words = [f"called {self.board}"] if self.board else []
        words += [f"tagged {' '.join(sorted(self.tags))}"] if self.tags else []
        words += [f"among {' '.join(sorted(self.among))}"] if self.among else []
        return " and ".join(words) or "of any kind"

    def as_data(self) -> dict[str, Any]:
        """Return the requirement as plain data."""
        partners = [one.as_data() for one in self.partners]
        words = {"tags": sorted(self.tags), "board": self.board, "among": sorted(self.among)}
        return {**words, "role": self.role, "partners": partners, "images": self.images}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the requirement that `as_data` wrote."""
        partners = tuple(map(cls.from_data, data["partners"]))
        among, images = frozenset(data["among"]), tuple((board, key) for board, key in data["images"])
        return cls(frozenset(data["tags"]), data["board"], among, data["role"], partners, images)

    def image_on(self, info: BoardInfo) -> str:
        """Return the key of the image that the test would have on a board; empty if any image will do."""
        return key_on(self.images, info.serial, info.exporter)

    def fits(self, info: BoardInfo) -> bool:
        """Return True if a board will do."""
        is_among = not self.among or not self.among.isdisjoint((info.serial, info.exporter))
        return is_among and self.tags <= info.tags and self.board in ("", info.serial, info.name)


ANY_BOARD = BoardRequirement()


def key_on(images: Iterable[tuple[str, str]], *names: str) -> str:
    """Return the key of the image on a board that has these names, else that of all others, the board ""."""
    keys = dict(images)
    return next(filter(None, map(keys.get, (*names, ""))), None) or ""


def matching_serials(requirement: BoardRequirement | None, infos: Iterable[BoardInfo]) -> frozenset[str]:
    """Return the serial numbers of boards that will do; none for a test that uses no board."""
    if requirement is None:
        return frozenset()
    return frozenset(info.serial for info in infos if requirement.fits(info))


def split_tags(tags: str | Iterable[str]) -> list[str]:
    """Split tags at commas and white space, as a board's setting holds them."""
    return tags.replace(",", " ").split() if isinstance(tags, str) else list(tags)


@dataclass(frozen=True, slots=True)
class KnownWords:
    """The words that requirements may have.

    Attributes:
        tags: The tags of boards and places.
        boards: Serial numbers and names of boards and places.
        certain: Whether every board on the bus has told its words.
    """

    tags: frozenset[str] = frozenset()
    boards: frozenset[str] = frozenset()
    certain: bool = True

    @classmethod
    def of(cls, infos: Iterable[BoardInfo], *, certain: bool = True) -> Self:
        """Return the words of boards.

        Args:
            infos: The boards.
            certain: Whether each board on the bus is among them.
        """
        known = list(infos)
        tags = frozenset().union(*(info.tags for info in known))
        return cls(
            tags, frozenset(word for info in known for word in (info.serial, info.name) if word), certain
        )

    @classmethod
    def of_lab(cls, lab: Lab) -> Self:
        """Return the words of a lab file, whose boards may be absent."""
        tags = frozenset(tag for place in lab.places.values() for tag in place.tags)
        return cls(tags, frozenset([*lab.places, *(place.serial for place in lab.places.values())]))

    def __or__(self, more: KnownWords) -> KnownWords:
        """Return these words and others."""
        return KnownWords(self.tags | more.tags, self.boards | more.boards, self.certain and more.certain)

    def and_now(self, told: KnownWords) -> KnownWords:
        """Return these words and those that boards told now; `certain` is that of `told`."""
        return KnownWords(self.tags | told.tags, self.boards | told.boards, told.certain)

    def as_data(self) -> dict[str, Any]:
        """Return the words as plain data."""
        return {"tags": sorted(self.tags), "boards": sorted(self.boards), "certain": self.certain}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the words that `as_data` wrote."""
        return cls(frozenset(data["tags"]), frozenset(data["boards"]), bool(data["certain"]))

    def mistake(self, requirement: BoardRequirement) -> UsageError | None:
        """Return what is misspelt in a requirement; None if its words are known, or too little is known."""
        if not self.certain or not self.boards:
            return None
        if requirement.board and not self._may_be_a_board(requirement.board):
            return _unknown("board", requirement.board, self.boards)
        unknown = sorted(requirement.tags - self.tags)
        return _unknown("tag", unknown[0], self.tags) if unknown else None

    def _may_be_a_board(self, board: str) -> bool:
        """Return True if a board is known, or if it may be the serial number of an unplugged board."""
        if board in self.boards:
            return True
        return _SERIAL.fullmatch(board) is not None and not nearest(board, self.boards, _LIKE_A_SERIAL)


def _unknown(what: str, word: str, known: Iterable[str]) -> UsageError:
    has = "is called" if what == "board" else "has the tag"
    shown = {with_names(f"board {one}").removeprefix("board ") for one in known}
    shown -= {one for one in shown if any(other.startswith(f"{one} (") for other in shown)}
    return UsageError(
        f"no board {has} {word}",
        why=f"the {what}s are {', '.join(sorted(shown))}" if shown else f"no board has a {what}",
        remedy=meant(word, known) or f"correct the {what}, or put it into the lab file",
    )
