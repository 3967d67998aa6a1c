"""Everything that the history holds about one test or one board."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hil.errors import HistoryError
from hil.evidence.used_board import natural_key
from hil.history.analysis import analyze
from hil.history.attempts import attempts_of
from hil.history.nights import day_of
from hil.history.numbers.listing import numbers_of_test
from hil.history.schema import BENCH, FAILURES, USES, AttemptOutcome
from hil.history.statistics import wilson
from hil.history.suspects import Counts
from hil.text_table import counted, section, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.evidence.records import RecordedTest
    from hil.history.findings import AlwaysSkipped, Analysis, BadImage, Failing, Flaky, Slower, TiedToBoard
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
        text: Its node id, or a unique part of it; or all of it but its parameters, for all their sets.
        board: Serial number or place of a board, to show only its attempts; empty for all.

    Raises:
        HistoryError: No test, more than one test, or no board has that name.
    """
    found = _tests_called(window, text)
    known = one_board(window, board) if board else ""
    if len(found) > 1:
        return _of_parameter_sets(window, found, known)
    ((number, name),) = found.items()
    attempts = attempts_of(window.query, window.position, number, known)
    findings = _findings_about(analyze(window), name)
    boards = {key: counts for key, counts in window.by_board(number).items() if known in {"", key}}
    outcomes = Counter(one.outcome for _, one in attempts)
    became = ", ".join(f"{count} {word}" for word, count in outcomes.items()) or "none"
    labelled = {window.labels.get(key, key): counts for key, counts in boards.items()}
    was_in = len({run for run, _ in attempts})
    lines = [
        f"{name}",
        f"It was in {was_in} of {counted(len(window.runs), 'run')}. Attempts: {became}.",
        *section("Findings", [f"  {one}" for one in findings]),
        *section("First attempts by board", _counted("board", labelled)),
        *section("First attempts by image", _counted("image", window.by_image(number))),
        *section("Durations and power", [*_times(attempts), *_watts(attempts)]),
        *section("Numbers", numbers_of_test(window, number, board)),
        *section(_title_of(attempts), _attempt_table(window, attempts[-_SHOWN_ATTEMPTS:])),
    ]
    data = {
        "test": name,
        "says": findings,
        "boards": {key: asdict(counts) for key, counts in boards.items()},
        "attempts": [_as_data(window.runs[run].began_s, one) for run, one in attempts],
    }
    return data, lines


def _as_data(began_s: float, one: RecordedTest) -> dict[str, Any]:
    """Return an attempt as data, without what the history does not hold."""
    told = asdict(one.last)
    told |= {f"{phase.name}_s": phase.duration_s for phase in one.last.phases}
    for name in ("longrepr", "sections", "phases", "numbers"):
        del told[name]
    boards = [asdict(board) for board in one.boards]
    return {"began_s": began_s, "nodeid": one.nodeid, "boards": boards, "image": one.image, **told}


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
    others = window.on_boards - counts
    bad = window.suspect_board()
    says = str(bad) if bad is not None and bad.value == serial else ""
    last = runs[-1] if runs else None
    seen = f"; last on {day_of(window.runs[last[0]].began_s)}, with firmware {last[2]}" if last else ""
    more = [f"  and {len(failing) - _SHOWN_TESTS} more tests"] if len(failing) > _SHOWN_TESTS else []
    lines = [
        f"Board {window.labels.get(serial, serial)}",
        f"It was used in {len(runs)} of {counted(len(window.runs), 'run')}{seen}.",
        f"First attempts that failed: {_of(counts)} on it, {_of(others)} without it.",
        *section("Findings", [f"  {says}"] if says else []),
        *section(
            "Tests that failed on it",
            table(("test", "failed>", "ran>"), [_row(*one) for one in failing[:_SHOWN_TESTS]]) + more,
        ),
    ]
    data = {
        "board": serial,
        "says": says,
        "here": asdict(counts),
        "elsewhere": asdict(others),
        "runs": [
            {"began_s": window.runs[run].began_s, **asdict(one), "firmware": fw} for run, one, fw in runs
        ],
        "failing": [{"test": name, **asdict(one)} for name, one in failing],
    }
    return data, lines


def _of(counts: Counts) -> str:
    return f"{counts.failed} of {counts.ran} ({counts.rate:.1%})"


def _tests_called(window: Window, text: str) -> dict[int, str]:
    """Return the test of a name, or all parameter sets of one test: node ids by number.

    Raises:
        HistoryError: No test, or more than one test, has that name.
    """
    found = _tests_like(window, text)
    whole = {number: name for number, name in found.items() if f"::{_base(name)}".endswith(f"::{text}")}
    if len({_base(name) for name in (whole or found).values()}) == 1:
        return whole or found
    if not found:
        raise HistoryError(f"no test is called {text!r}", remedy="give its node id, or a part of it")
    some = ", ".join(sorted(found.values())[:5])
    raise HistoryError(f"{len(found)} tests have {text!r} in their names", why=some, remedy="give more of it")


def _base(nodeid: str) -> str:
    """Return a node id without its parameters."""
    return nodeid.partition("[")[0]


def _of_parameter_sets(
    window: Window, tests: Mapping[int, str], board: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the counts of first attempts of each parameter set of one test, and the findings about it."""
    analysis, base = analyze(window), _base(next(iter(tests.values())))
    sets: list[dict[str, Any]] = []
    for number, name in sorted(tests.items(), key=lambda pair: pair[1]):
        first = [
            one.outcome
            for _, one in attempts_of(window.query, window.position, number, board)
            if one.last.number == 1
        ]
        ran = [outcome for outcome in first if outcome != "skipped"]
        counts = Counts(sum(outcome in {"failed", "error"} for outcome in ran), len(ran))
        sets.append({"test": name, "says": _findings_about(analysis, name), **asdict(counts)})
    rows = [_row(one["test"].removeprefix(base), Counts(one["failed"], one["ran"])) for one in sets]
    findings: dict[str, list[str]] = defaultdict(list)  # those of several sets once
    for one in sets:
        for said in one["says"]:
            findings[said].append(one["test"].removeprefix(base))
    lines = [
        base,
        f"It has {len(sets)} sets of parameters; `hil history '{sets[0]['test']}'` shows all about one.",
        *section("First attempts", table(("parameters", "failed>", "ran>"), rows)),
        *section("Findings", [f"  {', '.join(those)}: {said}" for said, those in findings.items()]),
    ]
    return {"test": base, "parameter_sets": sets}, lines


def one_board(window: Window, text: str) -> str:
    """Return the serial number of a board, or of the board at a place.

    Raises:
        HistoryError: No board or place has that name.
    """
    found = _boards_like(window, text)
    if found:
        return found[0]
    what = f"no board or place is called {text!r}"
    known = ", ".join(sorted((window.labels[one] for one in window.boards), key=natural_key))
    if not known:
        raise HistoryError(what, why="no run in these nights used a board", remedy="hil history")
    raise HistoryError(what, why=f"there are {known}", remedy="give one of them")


def _findings_about(analysis: Analysis, name: str) -> list[str]:
    """Return the findings about the test."""
    found: list[Failing | TiedToBoard | AlwaysSkipped | Flaky | Slower | Drift] = [*analysis.failing]
    found += [*analysis.tied, *analysis.drifted, *analysis.skipping, *analysis.flaky, *analysis.slower]
    told = [str(one).removeprefix(f"{name}: ") for one in found if one.test == name]
    told += ["fixed"] if name in analysis.fixed else []
    told += [f"fails now, as others do: {one}" for one in analysis.images if name in _nodeids(one)]
    return told + (["fails now, on a board that fails others, too"] if name in analysis.there else [])


def _nodeids(image: BadImage) -> list[str]:
    return [nodeid for nodeids in image.tests.values() for nodeid in nodeids]


def _row(name: str, counts: Counts) -> tuple[str, str, str]:
    return name, str(counts.failed), str(counts.ran)


def _counted(factor: str, counts: Mapping[str, Counts]) -> list[str]:
    rows = []
    for value, one in sorted(counts.items(), key=lambda pair: (-pair[1].rate, natural_key(pair[0]))):
        low, high = wilson(one.failed, one.ran)
        rows.append((*_row(value, one), f"{one.rate:.0%}", f"{low:.0%} to {high:.0%}"))
    return (
        table((factor, "failed>", "ran>", "rate>", "true rate, with 95 % confidence"), rows) if rows else []
    )


def _title_of(attempts: list[tuple[int, RecordedTest]]) -> str:
    some = f" (the newest {_SHOWN_ATTEMPTS} of {len(attempts)})" if len(attempts) > _SHOWN_ATTEMPTS else ""
    return f"Attempts, the newest last{some}"


def _times(attempts: list[tuple[int, RecordedTest]]) -> Iterable[str]:
    yield from _median(
        "The body of the test takes",
        "s",
        [one.last.seconds_of("call") for _, one in attempts if one.outcome == "passed"],
    )


def _watts(attempts: list[tuple[int, RecordedTest]]) -> Iterable[str]:
    yield from _median(
        "The DUT draws",
        "W",
        [
            one.last.mean_watts
            for _, one in attempts
            if one.last.mean_watts is not None and one.outcome == "passed"  # others may die with the DUT off
        ],
    )


def _median(what: str, unit: str, values: list[float]) -> Iterable[str]:
    if values:
        newest = statistics.median(values[-_NEWEST_RUNS:])
        late = f"; of the newest {_NEWEST_RUNS}: {newest:.2f} {unit}" if len(values) > _NEWEST_RUNS else ""
        yield f"  {what} {statistics.median(values):.2f} {unit} (median of {len(values)}{late})."


def _attempt_table(window: Window, attempts: list[tuple[int, RecordedTest]]) -> list[str]:
    heads = ("night", "outcome", "attempt>", "board", "took>", "mean power>", "verdict", "message")
    rows = [
        (
            day_of(window.runs[run].began_s),
            one.outcome,
            str(one.last.number) if one.last.number > 1 else "",
            " + ".join(board.label for board in one.boards),
            f"{one.last.seconds_of('call'):.2f} s",
            f"{one.last.mean_watts:z.2f} W" if one.last.mean_watts is not None else "",
            one.last.verdict,
            one.last.message,
        )
        for run, one in attempts
    ]
    return table(heads, rows) if rows else []


def _tests_like(window: Window, text: str) -> dict[int, str]:
    """Return the test with a node id, else all tests whose node id contains the text: node ids by number."""
    exact = dict(window.query("SELECT id, nodeid FROM test WHERE nodeid=?", (text,)))
    return exact or dict(window.query("SELECT id, nodeid FROM test WHERE instr(nodeid, ?)", (text,)))


def _boards_like(window: Window, text: str) -> list[str]:
    """Return the boards with a serial number, or at a place, of that name."""
    sql = f"SELECT DISTINCT board FROM {BENCH} WHERE board != '' AND ?1 IN (board, serial, place)"
    return [board for (board,) in window.query(sql, (text,))]


def _tests_on(window: Window, board: str) -> list[tuple[str, Counts]]:
    """Return the tests that failed on a board, those with the most failures first."""
    rows = window.query(
        f"SELECT nodeid, sum(outcome IN {FAILURES}) AS failed, count(*) FROM {USES} "
        f"JOIN test ON test.id=test_id JOIN {BENCH} ON bench.id=bench_id "
        f"WHERE run_id IN {window.within} AND number=1 AND outcome != {AttemptOutcome.SKIPPED:d} AND board=? "
        "GROUP BY test_id HAVING failed > 0 ORDER BY failed DESC, nodeid",
        (board,),
    )
    return [(name, Counts(failed, ran)) for name, failed, ran in rows]


def _runs_on(window: Window, board: str) -> list[tuple[int, Counts, str]]:
    """Return position, counts and firmware of each run that used a board."""
    rows = window.query(
        f"SELECT run_id, sum(outcome IN {FAILURES}), count(*), max(firmware) FROM {USES} "
        f"JOIN {BENCH} ON bench.id=bench_id WHERE run_id IN {window.within} AND board=? "
        f"AND number=1 AND outcome != {AttemptOutcome.SKIPPED:d} GROUP BY run_id",
        (board,),
    )
    return sorted((window.position[run], Counts(bad, ran), firmware) for run, bad, ran, firmware in rows)
