"""Decide which image a test runs with: by its marker, its column, the options, or the place of its board."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from hil.errors import HilError, UsageError
from hil.nearest import meant
from hil.suite.columns.column import column_of
from hil.suite.images.own_image import own_image
from hil.suite.markers import Kind, gets_a_board, kind_of, requirement_of, told_marks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.flash.results import Flashed
    from hil.images.source import ImageSource
    from hil.suite.columns.listed_boards import ListedBoard
    from hil.suite.images.board_images import ImageFlasher, ImageOnBoard, RunImage
    from hil.suite.images.file_states import Agree, FileStates
    from hil.suite.images.flash_counts import FlashCounts
    from hil.suite.options import RunOptions

__all__ = ["ImageKeys", "RunImages"]

ImageKeys: TypeAlias = "tuple[tuple[str, str], ...]"
"""Boards, each with the key of an image; "" stands for all other boards. See `BoardRequirement.images`."""

_Flashes: TypeAlias = "frozenset[tuple[str, ImageSource]]"
"""Boards that a test may get, each with the image that it would have."""


class RunImages:
    """The images of a run, and the image on this process's board.

    Args:
        options: The options of the run.
        list_boards: Returns the boards of the run.
        info_of: Returns the name and tags of an acquired board, which may ask the board.
        tell: Shows the user a line.
        flashes: Counts the flashes.
        agree: Returns on what all processes of the run agree under a topic: what one of them found first.
            None: this process agrees with itself.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        options: RunOptions,
        list_boards: Callable[[], Sequence[ListedBoard]],
        info_of: Callable[[AcquiredBoard], BoardInfo],
        tell: Callable[[str], None],
        flashes: FlashCounts,
        *,
        agree: Agree | None = None,
    ) -> None:
        self._choices = options.images
        self._has_names = any(choice.board for choice in options.images)
        self._has_default = bool(options.images) or any(place.image for place in options.lab.places.values())
        self._lab = options.lab
        self._limit_s = options.image_limit_s
        self._list_boards = list_boards
        self._info_of = info_of
        self._tell = tell
        self._flashes = flashes
        found: dict[str, Any] = {}
        self._agree: Agree = agree or found.setdefault
        self._files: FileStates = {}
        self._default_of = cache(self._find_default)
        self._on_boards: dict[str, ImageOnBoard] = {}  # by serial number

    def plan(self, items: Iterable[pytest.Item]) -> None:
        """Check the boards of `--hil-image BOARD=IMAGE`, note the image files, and count the flashes.

        Each board gets each of its images once: tests that run with one image are run together. `planned` is
        how many flashes there are at most, `certain` how many of these do not depend on which of several
        boards a test gets. Three tests that may run on board A or B with image X need two flashes, X on A and
        X on B, and none of them is certain: all three may run on A. If a test needs both boards, both are.

        Args:
            items: The tests of the run.

        Raises:
            pytest.UsageError: No board has that name, serial number or tag, so it is misspelt.
        """
        self._check_names()
        wanted: Counter[_Flashes] = Counter()
        certain: set[tuple[str, ImageSource]] = set()
        images = set(self._defaults())
        for item in items:
            if not images and not told_marks(item):
                continue
            requirement = requirement_of(item, "")
            if requirement is None or not gets_a_board(item):
                continue
            with suppress(UsageError):  # the test raises it
                own = own_image(item)
                images |= {own} if own is not None else set()
                if own is not None or self._has_default:
                    of_test = Counter(self._flashes_for(need, own) for need in requirement.needs)
                    wanted += of_test
                    certain.update(*(flashes for flashes, uses in of_test.items() if uses >= len(flashes)))
        possible = {flash for flashes in wanted for flash in flashes}
        needed = sum(min(uses, len(flashes)) for flashes, uses in wanted.items())
        self._flashes.planned = min(needed, len(possible))
        self._flashes.certain = len(certain)
        if images:
            from hil.suite.images.file_states import states_of  # noqa: PLC0415 - for runs with images

            self._files = self._agree("image files", states_of(images))

    def _defaults(self) -> Iterator[ImageSource]:
        """Yield the images of the options and of the lab file."""
        yield from (choice.source for choice in self._choices)
        for place in self._lab.places.values():
            with suppress(UsageError):  # its tests raise it
                image = self._lab.image_of(place.serial)
                if image is not None:
                    yield image

    def keys_of(self, item: pytest.Item) -> ImageKeys:
        """Return boards, each with a key of the image that a test would have there; none if any will do."""
        if kind_of(item) is Kind.NO_HARDWARE:
            return ()
        column = column_of(item)
        if told_marks(item) or (column is not None and column.image is not None):
            with suppress(UsageError):
                image = own_image(item)
                if image is not None:
                    return (("", image.key),)
        return self._default_keys if self._has_default else ()

    @cached_property
    def _default_keys(self) -> ImageKeys:
        """The keys of tests that run with the image of their board."""
        keys = {}
        for board in self._listed_or_any():
            image = None
            with suppress(UsageError):  # the test raises it
                image = self._default_of(board)
            keys[board.board] = image.key if image is not None else ""
        if len(set(keys.values())) > 1:
            return tuple(keys.items())
        return tuple(("", key) for key in set(keys.values()) if key)

    def _flashes_for(self, need: BoardRequirement, own: ImageSource | None) -> _Flashes:
        """Return the boards that a test may get, each with the image that it would have.

        Args:
            need: What the test needs of the board.
            own: The test's own image; None: it takes that of its board.

        Raises:
            UsageError: An image of the lab file is missing.
        """
        boards = [
            one
            for one in self._listed_or_any()
            if one.may_have(need.tags) and (not need.among or one.board in need.among)
        ]
        images = [(board.board, own or self._default_of(board)) for board in boards]
        return frozenset((board, image) for board, image in images if image is not None)

    def _find_default(self, board: ListedBoard) -> ImageSource | None:
        """Return the image of tests that take that of their board."""
        images = self._chosen((board.board, board.name), board.tags or ())
        return images[0] if images else self._lab.image_of(board.board)

    def _chosen(self, names: Collection[str], tags: Collection[str]) -> tuple[ImageSource, ...]:
        """Return the images of the options for a board, by its names and tags."""
        if not self._choices:
            return ()
        from hil.images.choice import choose_images  # noqa: PLC0415 - only for runs with images

        return choose_images(self._choices, names, tags)

    def _listed_or_any(self) -> Sequence[ListedBoard]:
        """Return the boards of the run, or one that stands for any board if the run lists none."""
        from hil.suite.columns.listed_boards import ListedBoard as Listed  # noqa: PLC0415 - only for runs with boards

        return self._list_boards() or [Listed("", "", "")]

    def _check_names(self) -> None:
        """Check the boards of `--hil-image BOARD=IMAGE`.

        Raises:
            pytest.UsageError: No board has that name, serial number or tag, so it is misspelt.
        """
        boards = self._list_boards() if self._has_names else ()
        if not boards or any(one.tags is None for one in boards):
            return
        known = {word for one in boards for word in (one.name, one.board, *(one.tags or ()))}
        for word in sorted({choice.board for choice in self._choices} - known - {""}):
            raise pytest.UsageError(
                f"--hil-image {word}=...: no board has this name, serial number or tag; "
                + (meant(word, known) or f"there are {', '.join(sorted(known))}")
            )

    def differ(self, item: pytest.Item, boards: Sequence[AcquiredBoard]) -> bool:
        """Return True if a board has another image than a test wants."""
        if not self._on_boards:
            return False
        with suppress(HilError):  # `put` raises it again
            return any(self._is_other(held, self._wanted(item, held)) for held in boards)
        return False

    def _is_other(self, held: AcquiredBoard, wanted: ImageSource | None) -> bool:
        now = self._on(held)
        return wanted is not None and now is not None and now.image != wanted

    def _on(self, held: AcquiredBoard) -> ImageOnBoard | None:
        """Return what was put on a board since it was opened."""
        now = self._on_boards.get(held.board.serial)
        return now if now is not None and now.board is held.board else None

    def put(self, item: pytest.Item, boards: Sequence[AcquiredBoard]) -> None:
        """Put the image that a test wants on its boards, where it is not there yet.

        Raises:
            UsageError: There is no such image, or several are given for a board.
            HilError: As `ImageFlasher.flash`, or as a board that does not tell its name and tags.
        """
        for held in boards:
            wanted, now = self._wanted(item, held), self._on(held)
            if wanted is not None and (now is None or not now.is_still(wanted)):
                self._on_boards.pop(held.board.serial, None)
                self._on_boards[held.board.serial] = self._flasher.flash(held, wanted, item.nodeid)

    @cached_property
    def _flasher(self) -> ImageFlasher:
        from hil.suite.images.board_images import ImageFlasher  # noqa: PLC0415 - the driver is for runs that use boards

        return ImageFlasher(self._lab, self._limit_s, self._tell, self._flashes, self._files, self._agree)

    def flashed(self, held: AcquiredBoard) -> Flashed | None:
        """Return how the run's image came to a board; None if the run has none for it."""
        now = self._on(held)
        return now.flashed if now is not None else None

    def of(self, held: AcquiredBoard | None) -> RunImage:
        """Return the image of the present test.

        Raises:
            UsageError: The test has none.
        """
        now = self._on(held) if held is not None else None
        if now is None:
            raise UsageError(
                "this test has no image",
                why="none was given by --hil-image, by the test's marker, or by the board's place",
                remedy="pytest --hil-image IMAGE",
            )
        return now.as_run_image()

    def _wanted(self, item: pytest.Item, held: AcquiredBoard) -> ImageSource | None:
        """Return the image for a test; None if there is none, or a simulated board stands in."""
        if held.is_fallback:
            return None
        own = own_image(item)
        if own is not None:
            return own
        serial = held.board.serial
        images = self._chosen(*self._words_of(held))
        if len(images) > 1:
            raise UsageError(
                f"{item.nodeid} would run with one of {len(images)} images for board {serial}",
                why="several images are given for one place, and the test may run on any board",
                remedy="--hil-each board, so that the test runs on the place with each image",
                serial=serial,
            )
        return images[0] if images else self._lab.image_of(serial)

    def _words_of(self, held: AcquiredBoard) -> tuple[set[str], frozenset[str]]:
        """Return the names and tags by which an option may choose a board."""
        if not self._has_names:
            return set(), frozenset()
        told = self._info_of(held)
        names = {held.board.serial, told.name, told.exporter}
        listed = {board.name for board in self._list_boards() if board.board in names}
        return {*names, *listed} - {""}, told.tags
