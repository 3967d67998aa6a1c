"""Decide which tests use a board: `hardware` needs one, `mixed` can do without, `no_hardware` must not."""

from __future__ import annotations

import enum
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.boards.requirements import BoardRequirement, split_tags
from hil.errors import UsageError
from hil.suite.columns.column import column_of
from hil.suite.marker_arguments import (
    BOARDS,
    are_tags,
    check_arguments,
    check_fixtures,
    check_names,
    check_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BOARD_FIXTURES",
    "KIND",
    "MARKER_ERROR",
    "TROUBLE_MARKER",
    "Kind",
    "MarkerErrors",
    "boards_of",
    "gets_a_board",
    "kind_of",
    "marks_of",
    "refuse",
    "register_markers",
    "requirement_of",
    "skip_of",
    "sort_tests",
    "tags_of",
    "told_marks",
    "unchecked_kind",
    "uses_board",
]

BOARD_FIXTURES = frozenset({"dutlink", "dutlinks", "power", "storage", "console", "pins", "image"})


class Kind(enum.StrEnum):
    """The kind of a test; the values are the names of the markers."""

    HARDWARE = "hardware"
    MIXED = "mixed"
    NO_HARDWARE = "no_hardware"

    __hash__ = str.__hash__  # that of enum is no function of C, and each test is counted by its kind


TROUBLE_MARKER = "expects_on_console"
_TROUBLE_MEANING = "a kernel panic or the like on the console that says one of these words fails no test"

_IN_DOCTEST = re.compile(r"""getfixture\(\s*["'](\w+)["']""")

KIND: Final = "_hil_kind"
"""The attribute of a test that has its kind. In the stash, each test would have one more dict for it."""

MARKER_ERROR = pytest.StashKey[UsageError]()
"""The error of a test's markers or fixtures."""

_DECORATORS = {kind: getattr(pytest.mark, kind.value) for kind in Kind}
_MARKERS = {kind.value: kind for kind in Kind}
_MEANINGS = {
    Kind.HARDWARE: "needs a board; skipped where there is none; "
    "tags=, boards=, each=, image=, observes_only=True",
    Kind.MIXED: "uses a board if there is one, else a simulated one; never skipped",
    Kind.NO_HARDWARE: "must not touch a board: USB is blocked",
}


def register_markers(config: pytest.Config) -> None:
    """Register the markers, so that `--strict-markers` knows them."""
    if any(line.startswith(f"{Kind.HARDWARE.value}:") for line in config.getini("markers")):
        return  # another copy of conftest.py registered them
    for kind, meaning in _MEANINGS.items():
        config.addinivalue_line("markers", f"{kind.value}: {meaning}")
    config.addinivalue_line("markers", f"{TROUBLE_MARKER}(*words): {_TROUBLE_MEANING}")


def sort_tests(items: Iterable[pytest.Item]) -> None:
    """Decide the kind of each test, and add the marker of that kind if it has none."""
    for item in items:
        kind_of(item)


def kind_of(item: pytest.Item) -> Kind:
    """Return the kind of a test; the first call decides it.

    A test with an error in its markers gets no board; it fails with the error in its set-up.
    """
    known: Kind | None = getattr(item, KIND, None)
    if known is not None:
        return known
    every = marks_of(item)
    marks = [mark for mark in every if mark.name in _MARKERS]
    try:
        kind = _decide(item, [mark.name for mark in marks])
        if every:
            check_arguments(item.nodeid, marks)
            check_words(item.nodeid, (mark for mark in every if mark.name == TROUBLE_MARKER))
            check_names(item, (*_MARKERS, TROUBLE_MARKER))
        check_fixtures(item, BOARD_FIXTURES)
    except UsageError as error:
        kind = refuse(item, error)
    setattr(item, KIND, kind)
    if not marks:  # as `add_marker` does, which imports for each call
        item.keywords[kind.value] = mark = _DECORATORS[kind].mark
        item.own_markers.append(mark)
    return kind


def gets_a_board(item: pytest.Item) -> bool:
    """Return True if a board may be acquired for a test: not if pytest skips it anyway.

    A condition that is text counts as false here: `skip_of` evaluates it when the test's turn comes.
    """
    if kind_of(item) is Kind.NO_HARDWARE or next(item.iter_markers("skip"), None) is not None:
        return False
    return not any(_is_met(mark) for mark in item.iter_markers("skipif"))


def _is_met(mark: pytest.Mark) -> bool:
    """Return True if a `skipif` skips its test, or fails it in its set-up, whatever its texts say."""
    conditions = _conditions_of(mark)
    try:
        return not conditions or any(not isinstance(one, str) and bool(one) for one in conditions)
    except Exception:  # noqa: BLE001 - pytest fails the test with this error
        return True


def _conditions_of(mark: pytest.Mark) -> tuple[object, ...]:
    return (mark.kwargs["condition"],) if "condition" in mark.kwargs else mark.args


def skip_of(item: pytest.Item) -> BaseException | None:
    """Return pytest's skip of a test that a marker skips now, or None if none does.

    Raises:
        BaseException: pytest cannot evaluate a condition, and fails the test with this error.
    """
    marks = item.iter_markers("skipif")
    if not any(isinstance(one, str) for mark in marks for one in _conditions_of(mark)):
        return None  # `gets_a_board` has seen the others, and pytest raises them
    from _pytest.skipping import evaluate_skip_marks  # noqa: PLC0415 - pytest offers no other way to ask

    skipped = evaluate_skip_marks(item)
    return None if skipped is None else pytest.skip.Exception(skipped.reason, _use_item_location=True)


def marks_of(item: pytest.Item) -> list[pytest.Mark]:
    """Return the marks of a test, the nearest first; `iter_markers` does the same by three generators."""
    marks: list[pytest.Mark] = []
    node: pytest.Item | pytest.Collector | Any | None = item
    while node is not None:
        marks += node.own_markers
        node = node.parent
    return marks


def told_marks(item: pytest.Item) -> list[pytest.Mark]:
    """Return the markers of a test's kind that have arguments, the nearest first."""
    return [mark for mark in marks_of(item) if mark.kwargs and mark.name in _MARKERS]


def refuse(item: pytest.Item, error: UsageError) -> Kind:
    """Let a test fail in its set-up, without a board and whichever kind is selected; return its kind."""
    item.stash[MARKER_ERROR] = error
    setattr(item, KIND, Kind.NO_HARDWARE)
    for decorator in _DECORATORS.values():
        item.add_marker(decorator)
    return Kind.NO_HARDWARE


def unchecked_kind(item: pytest.Item) -> Kind:
    """Return the kind of a test, or of the definition of several, without looking for mistakes."""
    known: Kind | None = getattr(item, KIND, None)
    if known is not None:
        return known
    marked = {mark.name for mark in marks_of(item) if mark.name in _MARKERS}
    if len(marked) == 1:
        return _MARKERS[marked.pop()]
    return Kind.HARDWARE if not marked and uses_board(item) else Kind.NO_HARDWARE


def _decide(item: pytest.Item, marked: list[str]) -> Kind:
    """Decide the kind by the marker, or by the fixtures if there is no marker.

    Raises:
        UsageError: Two markers, or `no_hardware` and a board's fixture.
    """
    with_board = uses_board(item)
    if not marked:
        return Kind.HARDWARE if with_board else Kind.NO_HARDWARE
    if len(set(marked)) > 1:
        raise UsageError(
            f"{item.nodeid} is marked {' and '.join(sorted(set(marked)))}",
            why="a test is one of hardware, mixed and no_hardware",
            remedy="keep one of the markers (a class or module may add one, too)",
        )
    kind = _MARKERS[marked[0]]
    if with_board and kind is Kind.NO_HARDWARE:
        names = ", ".join(sorted(BOARD_FIXTURES.intersection(_fixtures(item))))
        raise UsageError(
            f"{item.nodeid} is marked no_hardware and asks for {names}",
            why="these fixtures hold a board",
            remedy="mark it hardware or mixed, or drop the fixture",
        )
    return kind


def uses_board(item: pytest.Item) -> bool:
    """Return True if a test requests the board, directly or by a fixture.

    All fixtures of hil request `dutlink`; a user's own fixture with the name `console`, say, that does not
    makes no hardware test.
    """
    return "dutlink" in _fixtures(item)


def requirement_of(item: pytest.Item, board: str) -> BoardRequirement | None:
    """Return which boards a collected test can use, or None if it uses none.

    A marker may have `tags="jetson"`, `tags="jetson, nvme"` or `tags=["jetson", "nvme"]`, and for several
    boards at once `boards=2` or `boards={"server": "ethernet", "client": "wifi"}`; `tags` holds for each.

    Args:
        item: The test.
        board: Serial number or name of the only board that the run may use; empty for any.
    """
    kind = kind_of(item)
    if kind is Kind.NO_HARDWARE:
        return None
    column = column_of(item)
    among = column.boards if column else frozenset()
    boards = boards_of(item)
    roles = boards if isinstance(boards, dict) else dict.fromkeys(range(boards), "")
    first, *partners = (
        BoardRequirement(
            tags_of(item).union(split_tags(tags)), board, among, role if isinstance(role, str) else ""
        )
        for role, tags in roles.items()
    )
    return replace(first, partners=tuple(partners))


def boards_of(item: pytest.Item) -> int | dict[str, str]:
    """Return how many boards a test uses at once, or the tags of each by role."""
    marks = item.iter_markers(Kind.HARDWARE.value)
    return next((mark.kwargs[BOARDS] for mark in marks if BOARDS in mark.kwargs), 1)


def tags_of(item: pytest.Item) -> frozenset[str]:
    """Return the tags that the markers of a test require; a wrong value requires none."""
    marks = (mark for kind in (Kind.HARDWARE, Kind.MIXED) for mark in item.iter_markers(kind.value))
    values = (mark.kwargs.get("tags", ()) for mark in marks)
    return frozenset(tag for value in values if are_tags(value) for tag in split_tags(value))


def _fixtures(item: pytest.Item) -> list[str]:
    """Return the names of the fixtures that an item requests; a doctest requests them in its text."""
    names: list[str] = getattr(item, "fixturenames", [])
    doctest = getattr(item, "dtest", None)
    if doctest is None:
        return names
    asked = (_IN_DOCTEST.findall(example.source) for example in doctest.examples)
    return [*names, *("dutlink" for found in asked if BOARD_FIXTURES.intersection(found))]


class MarkerErrors:
    """A pytest plugin that fails tests with wrong markers or unknown fixtures; the other tests run."""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Raise the error of a test's markers or fixtures, unless a marker skips the test.

        Raises:
            UsageError: The markers contradict each other, or one has an argument that it does not take, or a
                fixture does not exist.
        """
        mistake = item.stash.get(MARKER_ERROR, None)
        if mistake is not None:
            raise mistake
