"""The timeline of a run: a lane for each board, and for each worker's tests without a board."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.evidence.used_board import natural_key
from hil.report.filters import clock, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hil.evidence.records import RecordedPhase, RecordedTest

__all__ = ["Bar", "Lane", "Span", "Tick", "Timeline", "build_timeline"]

_LEAST_WIDTH, _MOST_WIDTH = 960.0, 8000.0
_TEST_WIDTH = 14.0
_NARROWEST = 1.5
_TICK_EVERY, _TICK_WIDTH = 110.0, 60.0
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200)


@dataclass(frozen=True, slots=True)
class Span:
    """A horizontal range in pixels."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A test on a lane.

    Attributes:
        test: The test.
        span: All attempts with set-up and tear-down; of a test that was cut short, up to the timeline's end.
        calls: The bodies within.
        waits: The wait for the board before it.
        stick: The times when the stick was on the host, for flashing or reading.
        label: Text for a pointer or a screen reader.
    """

    test: RecordedTest
    span: Span
    calls: list[Span]
    waits: list[Span]
    stick: list[Span]
    label: str


@dataclass(slots=True)
class Lane:
    """A board, or a worker's tests without one.

    Attributes:
        name: Its label.
        board: The board's serial number; empty for a worker.
        place: The board's name, if it has one.
        bars: Its tests.
        used_s: Sum of their durations in seconds.
    """

    name: str
    board: str = ""
    place: str = ""
    bars: list[Bar] = field(default_factory=list)
    used_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A time on the axis."""

    x: float
    text: str


@dataclass(slots=True)
class Timeline:
    """The timeline; sizes in pixels."""

    width: float
    lanes: list[Lane]
    ticks: list[Tick]


class _Scale:
    def __init__(self, tests: Sequence[RecordedTest], busiest: int) -> None:
        self.begin_s = min(one.began_s for one in tests)
        self.end_s = max(*(_known_s(one) for one in tests), self.begin_s + 0.1)
        self.width = min(_MOST_WIDTH, max(_LEAST_WIDTH, busiest * _TEST_WIDTH))

    def x(self, time_s: float) -> float:
        share = (time_s - self.begin_s) / (self.end_s - self.begin_s)
        return round(min(1.0, max(0.0, share)) * self.width, 1)

    def span(self, begin_s: float, end_s: float) -> Span:
        x = min(self.x(begin_s), self.width - _NARROWEST)
        return Span(x, max(_NARROWEST, round(self.x(end_s) - x, 1)))

    def ticks(self) -> Iterator[Tick]:
        rough_s = (self.end_s - self.begin_s) / self.width * _TICK_EVERY
        step_s = next((step for step in _STEPS_S if step >= rough_s), _STEPS_S[-1])
        at_s = -(-self.begin_s // step_s) * step_s
        while at_s <= self.end_s and self.x(at_s) < self.width - _TICK_WIDTH:
            yield Tick(self.x(at_s), clock(at_s)[: 8 if step_s >= 1 else 10])
            at_s += step_s


def build_timeline(tests: Sequence[RecordedTest], only: str = "") -> Timeline | None:
    """Return the timeline of a run's tests, or None if there are none.

    Args:
        tests: The tests.
        only: Serial number of the only board with a lane; empty for lanes of all.
    """
    if not tests:
        return None
    lanes: dict[tuple[str, str], list[RecordedTest]] = {}
    for one in tests:
        for key in [("board", board.serial) for board in one.boards] or [("worker", one.worker)]:
            if only and key != ("board", only):
                continue
            lanes.setdefault(key, []).append(one)
    scale = _Scale(tests, max(map(len, lanes.values())))
    laid = [_lane(kind, name, of_lane, scale) for (kind, name), of_lane in lanes.items()]
    laid.sort(key=lambda lane: (not lane.board, natural_key(lane.place or lane.name)))
    return Timeline(scale.width, laid, list(scale.ticks()))


def _lane(kind: str, name: str, tests: Iterable[RecordedTest], scale: _Scale) -> Lane:
    lane = Lane(name if kind == "board" else f"no board{', ' if name else ''}{name}")
    lane.board = name if kind == "board" else ""
    for one in tests:
        lane.bars.append(_bar(one, scale))
        lane.used_s += one.took_s
        names = (board.name for board in one.boards if board.serial == lane.board)
        lane.place = lane.place or next(names, "")
    return lane


def _bar(test: RecordedTest, scale: _Scale) -> Bar:
    begin_s = test.began_s + test.wait_s
    waited = f", waited {seconds(test.wait_s)}" if test.wait_s >= 1 else ""
    return Bar(
        test=test,
        span=scale.span(begin_s, test.ended_s or scale.end_s),
        calls=[scale.span(one.began_s, one.began_s + one.duration_s) for one in _bodies(test)],
        waits=[scale.span(test.began_s, begin_s)] if scale.x(begin_s) - scale.x(test.began_s) >= 1 else [],
        stick=[scale.span(begin, end) for begin, end in stick_spans(test)],
        label=f"{test.nodeid}: {test.outcome}, {seconds(test.took_s)}{waited}",
    )


def _bodies(test: RecordedTest) -> Iterator[RecordedPhase]:
    """Yield the phases that a bar shows in full: each attempt's body, or its set-up if it has no body."""
    for one in test.attempts:
        bodies = [phase for phase in one.phases if phase.name == "call"]
        yield from bodies or [phase for phase in one.phases if phase.name == "setup"]


def stick_spans(test: RecordedTest) -> Iterator[tuple[float, float]]:
    """Yield begin and end of the times when the host had the stick, in seconds since 1970."""
    since_s: float | None = None
    for one in test.requests:
        if one.name != "storage" or one.status != "ok":
            continue
        if since_s is not None:
            yield since_s, one.time_s
        since_s = one.time_s if one.value == "host" else None
    if since_s is not None:
        yield since_s, _known_s(test)


def _known_s(test: RecordedTest) -> float:
    """Return the end of a test; of one that was cut short, the end of its last known phase."""
    if test.ended_s is not None:
        return test.ended_s
    phases = [phase.began_s + phase.duration_s for one in test.attempts for phase in one.phases]
    return max([test.began_s + test.wait_s, *phases])
