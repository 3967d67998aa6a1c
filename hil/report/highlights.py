"""The findings of an analysis that need attention, grouped, in reading order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from hil.text_table import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hil.history.analysis import Analysis, Failing
    from hil.history.numbers.drift import Drift
    from hil.report.numbers import NumbersPage

__all__ = ["Group", "Item", "count_failing", "headline", "highlight_groups", "named_tests"]


class _OfTest(Protocol):
    @property
    def test(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Item:
    """One line: its text, the test or board that it is about, a link to more, the board's and test's name."""

    text: str
    test: str = ""
    board: str = ""
    link: str = ""
    label: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Lines under one heading, with the outcome whose style they have."""

    title: str
    outcome: str
    items: list[Item]


def highlight_groups(analysis: Analysis, numbers: NumbersPage) -> list[Group]:
    """Return the groups that have lines.

    Args:
        analysis: The findings.
        numbers: The page of numbers, to which those that drifted are linked.
    """
    new = [one for one in analysis.failures if one.is_new]
    old = [one for one in analysis.failures if not one.is_new]
    boards = [Item(str(one), board=one.value, label=one.label or one.value) for one in analysis.boards]
    with_image = [
        Item("", nodeids[0], name=name)
        for one in analysis.images_in_part
        for name, nodeids in one.tests.items()
    ]
    not_run = [Item(str(analysis.not_run))] if analysis.not_run else []
    groups = [
        Group("Nights", "cut short", [Item(line) for line in analysis.nights]),
        Group("Images", "failed", [Item(str(one)) for one in analysis.images]),
        Group("Fail now, with that image alone", "failed", with_image),
        Group("Boards", "error", boards),
        Group(
            "Without a board", "error", [Item("the bench is at fault", test) for test in analysis.no_board]
        ),
        Group("New failures", "failed", _failures(new)),
        Group("Still failing", "failed", _failures(old)),
        Group("Did not run", "failed", not_run),
        Group("Fail now, on that board alone", "error", [Item("", test) for test in analysis.there]),
        Group("Numbers that drifted", "drifted", [_of_number(one, numbers) for one in analysis.drifted]),
        Group("Always skipped", "skipped", _items(analysis.skipping)),
        Group("Flaky", "flaky", _items(analysis.flaky)),
        Group("Slower", "slower", _items(analysis.slower)),
        Group("Fixed", "passed", [Item("passes again", test) for test in analysis.fixed]),
    ]
    return [group for group in groups if group.items]


def headline(analysis: Analysis) -> str:
    """Return the analysis in a few words, as a page's title."""
    if not analysis.runs:
        return "no night is in this history"
    if analysis.nothing_ran:
        return analysis.nothing_ran
    with_image = sum(len(one.tests) for one in analysis.images)
    failing = count_failing(analysis)
    new = sum(one.is_new for one in analysis.failures)
    absent = len(analysis.no_board)
    had_none = f"{counted(absent, 'test')} had no board"
    if not failing and absent:
        return f"the bench was not ready: {had_none}"
    flaky = analysis.last.get("flaky", 0)
    red = f"{len(analysis.not_run.nodeids)} that failed before did not run" if analysis.not_run else ""
    if not failing:
        are = "1 test is" if flaky == 1 else f"{flaky} tests are"
        calm = f"{are} flaky, none fails" if flaky else "no test fails"
        return ", ".join(filter(None, (calm, red, "but look at the nights" if analysis.nights else "")))
    files = sum(one.is_file for one in analysis.failing)
    failing -= files
    fails = "1 test fails" if failing == 1 else f"{failing} tests fail"
    gone = f"{counted(files, 'file')} could not be collected"
    parts = [
        gone if files else "",
        fails if failing else "",
        f"{new} new" if new else "",
        f"{with_image} with a bad image alone" if with_image else "",
        f"{len(analysis.there)} on a bad board alone" if analysis.there else "",
        red,
        had_none if absent else "",
        f"{flaky} flaky" if flaky else "",
    ]
    return ", ".join(filter(None, parts))


def count_failing(analysis: Analysis) -> int:
    """Return how many tests fail now; a test that fails on all boards or with all images counts once."""
    with_image = sum(len(one.tests) for one in analysis.images)
    return len(analysis.failures) + len(analysis.there) + len(flaky_and_failing(analysis)) + with_image


def flaky_and_failing(analysis: Analysis) -> list[str]:
    """Return the flaky tests that failed in the newest run in all attempts, except those on a bad board."""
    return [one.test for one in analysis.flaky if one.fails_now and one.test not in analysis.there]


def named_tests(groups: Iterable[Group]) -> list[str]:
    """Return the tests that the groups name, each once."""
    return list(dict.fromkeys(item.test for group in groups for item in group.items if item.test))


def _of_number(drift: Drift, numbers: NumbersPage) -> Item:
    anchor = numbers.anchor_of(drift)
    text = str(drift).removeprefix(f"{drift.test}: ")
    return Item(text, drift.test, link=f"numbers.html#{anchor}" if anchor else "")


def _failures(found: Sequence[Failing]) -> list[Item]:
    names = [one.everywhere.value if one.everywhere else "" for one in found]
    return [replace(item, name=name) for item, name in zip(_items(found), names, strict=True)]


def _items(found: Sequence[_OfTest]) -> list[Item]:
    return [Item(str(one).removeprefix(f"{one.test}: "), one.test) for one in found]
