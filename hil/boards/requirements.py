"""Requirements of tests on their board: tags, a serial number or a name.

The controller knows the boards, and workers know the tests; workers send a `BoardRequirement` for each test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hil.dutlink.console.sanitize import sanitize_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ANY_BOARD", "BoardInfo", "BoardRequirement", "matching_serials", "split_tags"]


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
        images = dict(self.images)
        return images.get(info.serial) or images.get(info.exporter) or images.get("", "")

    def fits(self, info: BoardInfo) -> bool:
        """Return True if a board will do."""
        is_among = not self.among or not self.among.isdisjoint((info.serial, info.exporter))
        return is_among and self.tags <= info.tags and self.board in ("", info.serial, info.name)


ANY_BOARD = BoardRequirement()


def matching_serials(requirement: BoardRequirement | None, infos: Iterable[BoardInfo]) -> frozenset[str]:
    """Return the serial numbers of boards that will do; none for a test that uses no board."""
    if requirement is None:
        return frozenset()
    return frozenset(info.serial for info in infos if requirement.fits(info))


def split_tags(tags: str | Iterable[str]) -> list[str]:
    """Split tags at commas and white space, as a board's setting holds them."""
    return tags.replace(",", " ").split() if isinstance(tags, str) else list(tags)
