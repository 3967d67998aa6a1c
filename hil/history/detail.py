"""Everything that the history holds about one test or one board."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hil.errors import HistoryError
from hil.history.analysis import analyze
from hil.history.attribution import Counts, suspect
from hil.history.models import FAILURES, Attempt, AttemptBench, AttemptOutcome
from hil.history.nights import day_of
from hil.history.numbers.listing import numbers_of_test
from hil.history.schema import MESSAGE_SIZE
from hil.history.statistics import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.history.findings import AlwaysSkipped, Failing, Flaky, Slower, TiedToBoard
    from hil.history.numbers.drift import Drift
    from hil.history.window import Window

__all__ = ["of_board", "of_test", "one_board"]

_SHOWN_ATTEMPTS = 20
_SHOWN_TESTS = 10
_NEWEST_RUNS = 10


def of_test(window: Window, text: str, board: str = "") -> tuple[dict[str, Any], list[str]]:
    """Return everything about a test, as data and as lines.

    Args:
        window: The runs.
        text: Its node id, or a unique part of it.
        board: Serial number or place of a board, to show only its attempts; empty for all.

    Raises:
        HistoryError: No test, more than one test, or no board has that name.
    """
    number, name = _one_test(window, text)
    serial = one_board(window, board) if board else ""
    attempts = _attempts_of(window, number, serial)
    findings = _findings_about(window, name)
    boards = {key: counts for key, counts in window.by_board(number).items() if serial in {"", key}}
    outcomes = Counter(one.outcome.name.lower() for _, one in attempts)
    became = ", ".join(f"{count} {word}" for word, count in outcomes.items()) or "none"
    lines = [
        f"{name}: {len({run for run, _ in attempts})} of {len(window.runs)} runs had it; attempts: {became}",
        *findings,
        *_counted("on", boards),
        *_counted("with image", window.by_image(number)),
        *_times(attempts),
        *_watts(attempts),
        *numbers_of_test(window, number, board),
        *(_line(window, run, one) for run, one in attempts[-_SHOWN_ATTEMPTS:]),
    ]
    data = {
        "test": name,
        "says": findings,
        "boards": {key: asdict(counts) for key, counts in boards.items()},
        "attempts": [{"began_s": window.runs[run].began_s, **asdict(one)} for run, one in attempts],
    }
    return data, lines


def of_board(window: Window, text: str) -> tuple[dict[str, Any], list[str]]:
    """Return everything about a board, as data and as lines.

    Args:
        window: The runs.
        text: Its serial number, or the name of its place.

    Raises:
        HistoryError: No board has that name.
    """
    serial = one_board(window, text)
    runs, failing = _runs_on(window, serial), _tests_on(window, serial)
    counts = window.boards.get(serial, Counts())
    others = sum(window.boards.values(), Counts()) - counts
    bad = suspect({"board": window.boards})
    says = str(bad) if bad is not None and bad.value == serial else ""
    last = runs[-1] if runs else None
    lines = [
        f"{serial}: used in {len(runs)} of {len(window.runs)} runs"
        + (f", last {day_of(window.runs[last[0]].began_s)}, firmware {last[2]}" if last else "")
        + (f", place {last[3]}" if last and last[3] else ""),
        f"failed at the first attempt: {_of(counts)} here, {_of(others)} on other boards",
        *([says] if says else []),
        *(f"{name}: {one.failed} of {one.ran} failed here" for name, one in failing[:_SHOWN_TESTS]),
        *([f"and {len(failing) - _SHOWN_TESTS} more tests"] if len(failing) > _SHOWN_TESTS else []),
    ]
    data = {
        "board": serial,
        "says": says,
        "here": asdict(counts),
        "elsewhere": asdict(others),
        "runs": [
            {"began_s": window.runs[run].began_s, **asdict(one), "firmware": fw} for run, one, fw, _ in runs
        ],
        "failing": [{"test": name, **asdict(one)} for name, one in failing],
    }
    return data, lines


def _of(counts: Counts) -> str:
    return f"{counts.failed} of {counts.ran} ({counts.rate:.1%})"


def _one_test(window: Window, text: str) -> tuple[int, str]:
    found = _tests_like(window, text)
    if len(found) == 1:
        return next(iter(found.items()))
    if not found:
        raise HistoryError(f"no test is called {text!r}", remedy="give its node id, or a part of it")
    some = ", ".join(sorted(found.values())[:5])
    raise HistoryError(f"{len(found)} tests have {text!r} in their names", why=some, remedy="give more of it")


def one_board(window: Window, text: str) -> str:
    """Return the serial number of a board, or of the board at a place.

    Raises:
        HistoryError: No board or place has that name.
    """
    found = _boards_like(window, text)
    if found:
        return found[0]
    known = ", ".join(window.boards) or "none"
    raise HistoryError(
        f"no board or place is called {text!r}", why=f"there are {known}", remedy="give one of them"
    )


def _findings_about(window: Window, name: str) -> list[str]:
    """Return the findings about the test."""
    analysis = analyze(window)
    found: list[Failing | TiedToBoard | AlwaysSkipped | Flaky | Slower | Drift] = [*analysis.failing]
    found += [*analysis.tied, *analysis.drifted, *analysis.skipping, *analysis.flaky, *analysis.slower]
    told = [str(one).removeprefix(f"{name}: ") for one in found if one.test == name]
    told += ["fixed"] if name in analysis.fixed else []
    return told + (["fails now, on a board that fails others, too"] if name in analysis.there else [])


def _counted(where: str, counts: Mapping[str, Counts]) -> Iterable[str]:
    for value, one in sorted(counts.items(), key=lambda pair: -pair[1].rate):
        low, high = wilson(one.failed, one.ran)
        yield f"{where} {value}: {one.failed} of {one.ran} failed ({one.rate:.0%}; {low:.0%} to {high:.0%})"


def _times(attempts: list[tuple[int, Attempt]]) -> Iterable[str]:
    yield from _median(
        "its body takes", "s", [one.call_s for _, one in attempts if one.outcome is AttemptOutcome.PASSED]
    )


def _watts(attempts: list[tuple[int, Attempt]]) -> Iterable[str]:
    yield from _median(
        "the DUT draws", "W", [one.mean_watts for _, one in attempts if one.mean_watts is not None]
    )


def _median(what: str, unit: str, values: list[float]) -> Iterable[str]:
    if values:
        newest = statistics.median(values[-_NEWEST_RUNS:])
        yield f"{what} {statistics.median(values):.2f} {unit} (median; {newest:.2f} {unit} of late)"


def _line(window: Window, run: int, one: Attempt) -> str:
    words = (
        day_of(window.runs[run].began_s),
        f"{one.outcome.name.lower():<7}",
        f"attempt {one.number}" if one.number > 1 else "",
        one.bench.board,
        one.bench.place,
        f"{one.call_s:.2f} s",
        f"{one.mean_watts:z.2f} W" if one.mean_watts is not None else "",
        one.verdict,
        one.message,
    )
    return "  ".join(filter(None, words))


def _tests_like(window: Window, text: str) -> dict[int, str]:
    """Return the test with a node id, else all tests whose node id contains the text: node ids by number."""
    exact = dict(window.query("SELECT id, nodeid FROM test WHERE nodeid=?", (text,)))
    return exact or dict(window.query("SELECT id, nodeid FROM test WHERE instr(nodeid, ?)", (text,)))


def _boards_like(window: Window, text: str) -> list[str]:
    """Return the serial numbers of boards with a serial number, or at a place of that name."""
    sql = "SELECT DISTINCT board FROM bench WHERE board != '' AND (board=?1 OR place=?1)"
    return [board for (board,) in window.query(sql, (text,))]


def _attempts_of(window: Window, test: int, board: str = "") -> list[tuple[int, Attempt]]:
    """Return the attempts of a test with the positions of their runs, oldest first.

    Args:
        window: The runs.
        test: Number of the test.
        board: Serial number of the board; empty for all boards.
    """
    rows = window.query(
        "SELECT run_id, board, firmware, place, simulated, image, nodeid, outcome, number, verdict, "
        f"setup_s, call_s, teardown_s, mean_watts, substr(message, 1, {MESSAGE_SIZE}) "
        "FROM attempt JOIN test ON test.id=test_id "
        f"JOIN bench ON bench.id=bench_id WHERE test_id=?1 AND run_id IN {window.within} "
        "AND (?2 = '' OR board=?2)",
        (test, board),
    )
    made = [
        (
            window.position[run],
            Attempt(
                name,
                AttemptOutcome(outcome),
                number,
                AttemptBench(board, firmware, place, bool(sim), image),
                *rest,
            ),
        )
        for run, board, firmware, place, sim, image, name, outcome, number, *rest in rows
    ]
    return sorted(made, key=lambda one: (one[0], one[1].number))


def _tests_on(window: Window, board: str) -> list[tuple[str, Counts]]:
    """Return the tests that failed on a board, those with the most failures first."""
    rows = window.query(
        f"SELECT nodeid, sum(outcome IN {FAILURES}) AS failed, count(*) FROM attempt "
        "JOIN test ON test.id=test_id JOIN bench ON bench.id=bench_id "
        f"WHERE run_id IN {window.within} AND number=1 AND outcome != {AttemptOutcome.SKIPPED:d} AND board=? "
        "GROUP BY test_id HAVING failed > 0 ORDER BY failed DESC, nodeid",
        (board,),
    )
    return [(name, Counts(failed, ran)) for name, failed, ran in rows]


def _runs_on(window: Window, board: str) -> list[tuple[int, Counts, str, str]]:
    """Return position, counts, firmware and place of each run that used a board."""
    rows = window.query(
        "SELECT run_id, sum(failed), sum(ran), max(firmware), max(place) FROM tally "
        f"JOIN bench ON bench.id=bench_id WHERE run_id IN {window.within} AND board=? GROUP BY run_id",
        (board,),
    )
    return sorted((window.position[run], Counts(bad, ran), *words) for run, bad, ran, *words in rows)
