"""The pytest plugin for tests that run on every board or kind (`--hil-each`), or with several images."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from hil.errors import UsageError
from hil.suite.columns.column import PARAMETER, Column, column_of, split_by_board, split_by_image
from hil.suite.markers import MARKER_ERROR, Kind, boards_of, refuse, tags_of, told_marks, unchecked_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.images.choice import ImageChoice
    from hil.suite.columns.listed_boards import ListedBoard

__all__ = ["ColumnPlugin"]


class ColumnPlugin:
    """The plugin.

    Args:
        each: The value of `--hil-each`; a test's marker goes first.
        images: The images of the run.
        list_boards: Returns the boards of the run; called only if a test runs on each of them.
    """

    def __init__(
        self,
        each: str,
        images: Sequence[ImageChoice],
        list_boards: Callable[[], Sequence[ListedBoard]],
    ) -> None:
        self._each = each
        self._images = images
        self._list_boards = list_boards
        self._columns = cache(self._make_columns)  # most tests have the same

    @pytest.hookimpl(tryfirst=True)  # the board's name stands before the test's own parameters
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make an item for each column."""
        columns = self._columns_for(metafunc.definition)
        if columns:
            metafunc.fixturenames.append(PARAMETER)  # for a test that opens its board itself, too
            names = [column.name for column in columns]
            metafunc.parametrize(PARAMETER, columns, indirect=True, ids=names, scope="session")

    def refuse_other_columns(self, items: Sequence[pytest.Item]) -> None:
        """Let tests fail whose markers ask for other columns than pytest made from their functions' markers.

        The marks of a parameter are known only after the columns are made. A test with `boards=2` in a column
        of one board would be skipped for want of a second board.
        """
        for item in items:
            if MARKER_ERROR in item.stash:
                continue
            column, asked = column_of(item), self._columns_for(item)
            if column is None and asked:
                refuse(item, _no_parameters(item))
            elif column is not None and not any(one is column or column.is_like(one) for one in asked):
                refuse(item, _other_columns(item, column))

    def _columns_for(self, item: pytest.Item) -> Sequence[Column]:
        """Return the columns of a test; none if it runs once, or if no board may have its tags."""
        told = told_marks(item)
        if self._each == "any" and not self._images and not any("each" in one.kwargs for one in told):
            return ()
        kind = unchecked_kind(item)  # of a collected test it is known
        if kind is Kind.NO_HARDWARE:
            return ()
        if not told and kind is Kind.HARDWARE:
            return self._columns(self._each, frozenset(), False)
        each = self._each_of(item) if kind is Kind.HARDWARE else "any"
        has_image = any("image" in mark.kwargs for mark in told if mark.name == kind.value)
        return self._columns(each, frozenset() if each == "any" else tags_of(item), has_image)

    def _each_of(self, item: pytest.Item) -> str:
        """Return `board` or `kind` if a hardware test runs on each of them, else `any`."""
        asked = (mark.kwargs["each"] for mark in item.iter_markers("hardware") if "each" in mark.kwargs)
        each = next(asked, "any" if boards_of(item) != 1 else self._each)
        return each if each in ("board", "kind") else "any"  # a wrong word fails the test later

    def _make_columns(self, each: str, tags: frozenset[str], has_image: bool) -> Sequence[Column]:
        """Return the columns of tests.

        Args:
            each: `board`, `kind` or `any`.
            tags: The tags that the tests require.
            has_image: Whether the tests have an image of their own.
        """
        boards = self._list_boards() if each != "any" else ()
        columns = split_by_board(boards, each, tags) if each != "any" else []
        if has_image or (each != "any" and not columns):
            return columns
        return split_by_image(columns, boards, self._images) if self._images else columns


def _no_parameters(item: pytest.Item) -> UsageError:
    return UsageError(
        f"{item.nodeid} would run once, and is asked to run on each board or with each image",
        why="pytest has no parameters for it: it is a method of a unittest.TestCase, a doctest, "
        "or got its marker from a parameter or after its file was collected",
        remedy='make it a function with the fixture dutlink, or mark it hardware(each="any", image="...")',
    )


def _other_columns(item: pytest.Item, column: Column) -> UsageError:
    marks = getattr(getattr(item, "callspec", None), "marks", ())
    given = [f"{name}={value!r}" for mark in marks for name, value in mark.kwargs.items()]
    return UsageError(
        f"{item.nodeid} runs on {column.name}, and its own marker asks for other boards or images",
        why="--hil-each and --hil-image multiply a test by the marker of its function; the marker of a "
        "parameter, or one that is added after collection, comes too late",
        remedy=f"put {', '.join(given) or 'the marker'} on the function, or make two functions",
    )
