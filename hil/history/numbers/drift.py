"""Name the numbers that drifted: since when, by how much, everywhere or on one board or with one image."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from hil.evidence.measurement import format_quantity
from hil.history.nights import day_of
from hil.history.numbers.change import LEAST_VALUES, Change, find_change, fit_change
from hil.history.numbers.image_lines import image_lines
from hil.history.numbers.series import (
    changed_numbers,
    count_numbers,
    on_all_boards,
    read_series,
)
from hil.history.suspects import SURE_P

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hil.evidence.records import RunRecord
    from hil.history.numbers.series import NumberBlock, NumberPoint, NumberSeries
    from hil.history.window import Window

__all__ = ["Drift", "drifts_of", "find_drifts"]

_EXAMINED_ALL = 300
"""With more numbers than this, only those that a quick first look marks are examined."""

_LEAST_SHARE = 0.01
"""A smaller share of the value is no finding."""

_MOST_DRIFTS = 3
_ROUNDS = 3
_FEW = 5
_DOUBTFUL_P = 0.05
_SHARED_P = 0.01
_BOARD, _IMAGE = "board", "image"


@dataclass(frozen=True, slots=True)
class Drift:
    """A number that is not what it was.

    Attributes:
        test: The node id of the test that measured it.
        name: The number's name.
        unit: Its unit.
        factor: `board` or `image` if it drifted on one of several alone; else empty.
        value: That board or image; the only board, if there is one; else empty.
        label: How people know that board or image: `left (0df10035)`.
        boards: On how many boards it was measured.
        is_step: Whether it changed at once; else it has been drifting since.
        since_s: Start of the first run after the step, or of the last one before the drift.
        before: The median before.
        after: The median after; of a drift, the newest values'.
        commit: Commit of the first run after a step, if the step is at a new commit; else empty.
        commit_before: Commit of the last run before it.
        image: Image of the first run after a step, if the step is at a new image; else empty.
        image_before: Image of the last run before it.
        p: Probability of a coincidence, corrected for the number of comparisons.
    """

    test: str
    name: str
    unit: str
    factor: str
    value: str
    boards: int
    is_step: bool
    since_s: float
    before: float
    after: float
    commit: str = ""
    commit_before: str = ""
    image: str = ""
    image_before: str = ""
    p: float = 0.0
    label: str = ""

    @property
    def change(self) -> str:
        """How much it changed, with a sign."""
        if not self.before:
            return f"{'+' if self.after > 0 else ''}{format_quantity(self.after, self.unit)}"
        return f"{(self.after - self.before) / abs(self.before):+.1%}"

    @property
    def where(self) -> str:
        """Where it changed, in words; empty if the test has no board."""
        if self.factor == _IMAGE:
            return "not with other images" if self.image else f"with image {self.label} alone"
        if self.factor == _BOARD:
            return f"on board {self.label} alone of {self.boards}"
        if self.boards > 1:
            return "on both boards" if self.boards == 2 else f"on all {self.boards} boards"  # noqa: PLR2004 - both
        return f"on board {self.label}" if self.label else ""

    def __str__(self) -> str:
        day = day_of(self.since_s)
        rose = self.after > self.before
        verb = (
            f"has been {'rising' if rose else 'falling'}" if not self.is_step else "rose" if rose else "fell"
        )
        before, after = (format_quantity(value, self.unit) for value in (self.before, self.after))
        parts = [
            f"{self.test}: {self.name} {verb} since {day}, {before} became {after} ({self.change})",
            self.where if not self.image else "",
            f"at commit {self.commit[:10]} (before: {self.commit_before[:10]})" if self.commit else "",
            f"with image {self.image} (before: {self.image_before})" if self.image else "",
            self.where if self.image else "",
        ]
        return ", ".join(filter(None, parts))


def find_drifts(
    window: Window, newest: Mapping[int, NumberBlock] | None = None, board: str = ""
) -> list[Drift]:
    """Return the numbers that drifted within a window, the latest first.

    Args:
        window: The runs.
        newest: The numbers of its newest runs, if they are known already.
        board: Serial number or place of a board, for its values alone; empty for all.
    """
    count = count_numbers(window, board)
    if not count or not window.runs:
        return []
    if count <= _EXAMINED_ALL:
        numbers = None
    else:
        numbers = on_all_boards(window, changed_numbers(window, newest, board))
    found = [
        drift
        for series in read_series(window, numbers, board)
        for drift in drifts_of(series, window.runs, count)
    ]
    return sorted(found, key=lambda one: (-one.since_s, one.test, one.name))


def drifts_of(series: NumberSeries, runs: Sequence[RunRecord], numbers: int = 1) -> list[Drift]:
    """Return how one number drifted, the clearest change first.

    Args:
        series: The number.
        runs: The runs of the window.
        numbers: How many numbers are examined with it, for the correction of probabilities.
    """
    points, found = series.points, list[tuple[_Group, _Fit]]()
    while len(found) < _MOST_DRIFTS:
        everywhere, *levels = _groups(points)
        compared = numbers * (1 + len(levels))
        chosen = _clearest(everywhere, levels, runs, compared)
        if chosen is None or any(abs(chosen[1].shift) < abs(fit.shift) / 2 for _, fit in found):
            break
        found.append(chosen)
        group, fit = chosen
        points = [
            replace(one, value=one.value - fit.effect(one.run)) if group.has(one) else one for one in points
        ]
    return [_tell(series, group, fit, runs) for group, fit in found]


@dataclass(frozen=True, slots=True)
class _Group:
    """The points of one board, of one line of images, or all of them."""

    factor: str
    value: str
    points: list[NumberPoint]
    images: frozenset[str] = frozenset()

    def has(self, point: NumberPoint) -> bool:
        """Return True if a point of the series belongs to the group."""
        if self.factor == _IMAGE:
            return point.image in self.images
        return not self.factor or self.value == point.board

    def without(self, other: _Group) -> list[NumberPoint]:
        """Return the points that another group does not have."""
        return [point for point in self.points if not other.has(point)]


@dataclass(frozen=True, slots=True)
class _Fit:
    """A change, fitted to the points of some runs; `p` is corrected for all comparisons."""

    change: Change
    runs: list[int]
    p: float

    def effect(self, run: int) -> float:
        """Return what the change adds to the values of a run."""
        return self.change.shift * self.change.share(run)

    @property
    def shift(self) -> float:
        """The size of the change, with its sign."""
        return self.change.shift


def _groups(points: list[NumberPoint]) -> list[_Group]:
    """Return all points, then those of each board and of each line of images, if there are several."""
    boards, lines = sorted({point.board for point in points}), image_lines(points)
    groups = [_Group("", "", points)]
    if len(boards) > 1:
        groups += [_Group(_BOARD, board, [one for one in points if one.board == board]) for board in boards]
    if len(set(lines.values())) > 1:
        for newest in sorted(set(lines.values())):
            images = frozenset(image for image, line in lines.items() if line == newest)
            of_line = [one for one in points if one.image in images]
            groups.append(_Group(_IMAGE, newest, of_line, images))
    return groups


def _clearest(
    everywhere: _Group, levels: list[_Group], runs: Sequence[RunRecord], compared: int
) -> tuple[_Group, _Fit] | None:
    """Return the clearest change: one that all boards share, else one of a single board or image."""
    whole = _fit(everywhere.points, runs, compared)
    fits = [(group, fit) for group in levels if (fit := _fit(group.points, runs, compared)) is not None]
    fits.sort(key=lambda one: one[1].p)
    if whole is not None and _is_sure(whole, everywhere):
        clearest = {group.factor: (group, fit) for group, fit in reversed(fits)}
        alone = [one for one in clearest.values() if not _is_shared(whole, everywhere, one[0])]
        return min(alone, key=lambda one: one[1].p, default=(everywhere, whole))
    return next(((group, fit) for group, fit in fits if _is_sure(fit, group)), None)


def _is_sure(fit: _Fit, group: _Group) -> bool:
    """Return True if a change is neither a coincidence nor too small to matter."""
    level = abs(statistics.median(point.value for point in group.points))
    return fit.p < SURE_P and abs(fit.shift) >= max(fit.change.noise, _LEAST_SHARE * level)


def _is_shared(whole: _Fit, everywhere: _Group, group: _Group) -> bool:
    """Return True if the points without the board or images that changed most show the same change.

    With too few of them the board is named; images are not, as a line of few nights tells nothing.
    """
    others = everywhere.without(group)
    by_run = _by_run(others)
    if len(by_run) < LEAST_VALUES:
        return group.factor == _IMAGE
    lines = image_lines(others)
    same = fit_change(list(by_run), _values(by_run, lines, _centres(others, lines)), whole.change)
    return same.p < _SHARED_P and same.shift * whole.shift >= whole.shift * whole.shift / 2


def _fit(points: list[NumberPoint], runs: Sequence[RunRecord], compared: int) -> _Fit | None:
    """Fit a change to points, whose boards and alternating images have levels of their own."""
    by_run = _by_run(points)
    order = list(by_run)
    facts = [(run, runs[run].commit, {point.image for point in by_run[run]}) for run in order]
    marks = {run for (_, *before), (run, *after) in pairwise(facts) if before != after}
    lines, fit = image_lines(points), None
    centres = _centres(points, lines)
    for _ in range(_ROUNDS):
        change = find_change(order, _values(by_run, lines, centres), marks)
        if change is None or change.p > _DOUBTFUL_P:
            break
        fit = _Fit(change, order, min(1.0, change.p * compared))
        rest = [replace(point, value=point.value - fit.effect(point.run)) for point in points]
        centres = _centres(rest, lines)
    return fit


def _by_run(points: Sequence[NumberPoint]) -> dict[int, list[NumberPoint]]:
    by_run: dict[int, list[NumberPoint]] = defaultdict(list)
    for point in points:
        by_run[point.run].append(point)
    return by_run


def _centres(points: Sequence[NumberPoint], lines: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """Return the mean of each board with each line of images."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for point in points:
        values[point.board, lines[point.image]].append(point.value)
    return {cell: sum(of_it) / len(of_it) for cell, of_it in values.items()}


def _values(
    by_run: dict[int, list[NumberPoint]], lines: Mapping[str, str], centres: dict[tuple[str, str], float]
) -> list[float]:
    """Return the mean of each run, as it differs from the levels of its boards and images."""
    return [
        sum(point.value - centres[point.board, lines[point.image]] for point in points) / len(points)
        for points in by_run.values()
    ]


def _tell(series: NumberSeries, group: _Group, fit: _Fit, runs: Sequence[RunRecord]) -> Drift:
    change = fit.change
    points = [point for point in series.points if group.has(point)]
    at = fit.runs.index(int(change.begin))
    first, last = runs[fit.runs[at]], runs[fit.runs[at - 1]]
    early = [point.value for point in points if not change.share(point.run)]
    before = statistics.median(early if len(early) >= _FEW else [point.value for point in points[:_FEW]])
    images = [{point.image for point in points if point.run == run} for run in fit.runs[at - 1 : at + 1]]
    boards = [board for board in series.boards if board]
    tests = {point.test for point in points}
    value = group.value or (boards[0] if len(boards) == 1 else "")
    drift = Drift(
        test=tests.pop() if len(tests) == 1 else series.test,
        name=series.name,
        unit=series.unit,
        factor=group.factor,
        value=value,
        label=series.label_of(value),
        boards=len(boards),
        is_step=change.is_step,
        since_s=first.began_s,
        before=before,
        after=before + change.shift,
        p=fit.p,
    )
    if change.is_step and first.commit and last.commit and first.commit != last.commit:
        drift = replace(drift, commit=first.commit, commit_before=last.commit)
    if change.is_step and all(len(one) == 1 and any(one) for one in images) and images[0] != images[1]:
        drift = replace(drift, image=images[1].pop(), image_before=images[0].pop())
    return drift
