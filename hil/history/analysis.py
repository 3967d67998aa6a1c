"""Find in the newest nights which tests are new failures, fixed, flaky, slower or always skipped, and why."""

from __future__ import annotations

import statistics
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

from hil.evidence.used_board import natural_key
from hil.history.failing_since import failing_since, streak
from hil.history.findings import (
    AlwaysSkipped,
    Analysis,
    BadImage,
    Failing,
    Flaky,
    NotRun,
    Slower,
    TiedToBoard,
)
from hil.history.newest_runs import RECENT_RUNS
from hil.history.nights import future_runs, missing_nights, problems_of_newest, why_nothing_ran
from hil.history.numbers.drift import find_drifts
from hil.history.schema import AttemptOutcome
from hil.history.slower import find_slower
from hil.history.statistics import wilson
from hil.history.suspects import (
    SURE_P,
    Counts,
    Suspicion,
    fails_more,
    joined_builds,
    merged_builds,
    suspect,
    without_alike,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.history.window import Result, Window

__all__ = ["AlwaysSkipped", "Analysis", "Failing", "Flaky", "Slower", "TiedToBoard", "analyze"]

_SKIPPED_RUNS = 3
_BAD_BOARD_TESTS = 3
"""A board that fails fewer tests is no bad board; each of the tests is reported instead."""

_BAD_IMAGE_TESTS = 3
"""The same for an image."""

_FLAKY_SPELLS = 2
_SHORT = 3
"""Maximum number of runs in a short spell of failures."""


def analyze(window: Window, now_s: float | None = None) -> Analysis:
    """Return all findings about the runs of a window.

    Args:
        window: The runs.
        now_s: The present time in seconds since 1970, for missing nights; None for the clock's.
    """
    analysis = Analysis(len(window.runs), window.last_counts, simulated=window.simulated_last())
    analysis.nothing_ran = why_nothing_ran(window)
    analysis.nights = [*missing_nights(window.runs, now_s), *problems_of_newest(window), *future_runs(window)]
    board = window.suspect_board()
    is_bad = board is not None and window.tests_failing_on(board.value) >= _BAD_BOARD_TESTS
    analysis.boards = [board] if board is not None and is_bad else []
    bad_boards = {one.value for one in analysis.boards}
    analysis.images = _bad_images(window, bad_boards)
    with_image = set(analysis.with_image)
    for test, results in window.results.items():
        if window.failing_tests[test] in with_image:
            continue
        _judge(window, test, results, bad_boards, analysis)
    analysis.not_run = _not_run(window)
    # A file that could not be collected hides its tests, so it comes first.
    analysis.failing.sort(key=lambda one: (one.runs, not one.is_file, one.everywhere is None, one.test))
    analysis.no_board.sort()
    analysis.skipping = _skipping(window)
    analysis.slower = find_slower(window)
    analysis.drifted = find_drifts(window)
    return analysis


def _not_run(window: Window) -> NotRun | None:
    """Return the tests that failed when they last ran, which was not in the newest run; or None."""
    newest, files = len(window.runs) - 1, window.files_last()
    failed = [
        test
        for test, results in window.results.items()
        if newest - RECENT_RUNS < results[-1].run < newest
        and results[-1].outcome.is_failure
        and window.failing_tests[test] not in files  # a file that can be collected again
    ]
    if not failed:
        return None
    names = sorted({window.base_names[test] for test in failed})
    return NotRun(window.missing_last(), names, sorted(window.failing_tests[test] for test in failed))


def _bad_images(window: Window, bad_boards: set[str]) -> list[BadImage]:
    """Return the images of the newest run with which tests fail that pass with others."""
    newest, failing = len(window.runs) - 1, defaultdict(list)
    for test, results in window.results.items():
        last = results[-1]
        if last.run == newest and last.outcome.is_failure and last.ran and last.boards.isdisjoint(bad_boards):
            failing[last.image].append(test)
    counts = window.images(bad_boards)
    shared = {one: joined_builds(counts, one) for one in counts if one in failing}
    found = (
        _bad_image(window, one, failing[one], without_alike(counts, one, shared), bad_boards)
        for one in shared
    )
    return sorted(filter(None, found), key=lambda one: one.p)


def _bad_image(
    window: Window, image: str, failing: list[int], counts: dict[str, Counts], bad_boards: set[str]
) -> BadImage | None:
    """Return the finding about an image, or None if its failures may be chance or are of few tests."""
    builds, merged = joined_builds(counts, image), merged_builds(counts, image)
    found = suspect({"image": merged})
    if found is None or found.value != image:
        return None
    tests = defaultdict(list)
    for test in failing:
        if _fails_with_image(window, test, builds, merged.keys() - {image}, bad_boards):
            tests[window.base_names[test]].append(window.failing_tests[test])
    if len(tests) < _BAD_IMAGE_TESTS:
        return None
    own = {nodeid for nodeids in tests.values() for nodeid in nodeids}
    last = [window.results[test][-1] for test in failing if window.failing_tests[test] in own]
    boards = {board for one in last for board in one.boards}
    ran, used = window.used_last(image)
    since_s, runs = window.failed_with(builds)
    return BadImage(
        image,
        len(builds),
        tests=dict(sorted(tests.items())),
        ran=len(ran),
        boards=sorted((window.labels[one] for one in boards), key=natural_key),
        boards_used=len(used),
        runs=runs,
        since_s=since_s,
        here=found.here,
        elsewhere=found.elsewhere,
        p=found.p,
    )


def _fails_with_image(
    window: Window, test: int, builds: Iterable[str], others: Iterable[str], bad_boards: set[str]
) -> bool:
    """Return True if a test fails with these builds of an image, and passes with other images."""
    everywhere = window.fails_everywhere(test)
    counts = window.by_image(test, bad_boards)
    here = sum((counts.get(one, Counts()) for one in builds), Counts())
    elsewhere = sum((counts.get(one, Counts()) for one in others), Counts())
    return (everywhere is None or everywhere.images <= 1) and fails_more(here, elsewhere)


def _judge(
    window: Window, test: int, results: list[Result], bad_boards: set[str], analysis: Analysis
) -> None:
    """Add the findings about one test. Failures that a bad board explains do not count."""
    name, newest = window.failing_tests[test], len(window.runs) - 1
    ran = [one for one in results if one.ran and one.outcome is not AttemptOutcome.SKIPPED]
    if results[-1].run == newest and results[-1].outcome.is_failure and not results[-1].ran:
        analysis.no_board.append(name)
    fair = [one for one in ran if one.boards.isdisjoint(bad_boards)]
    fails_now = bool(ran) and ran[-1].run == newest and ran[-1].outcome.is_failure
    there = ran[-1].boards & bad_boards if fails_now else frozenset()
    is_there = bool(there) and _is_boards_fault(window, min(there), ran, fair)
    is_flaky = any(one.is_flaky for one in fair) or _comes_and_goes(fair)
    if is_there:
        analysis.there.append(name)
    follows = _follows(window, test, bad_boards if fair else set()) if is_flaky or fails_now else None
    is_tied = is_flaky and follows is not None and follows.factor == "board"
    if is_tied and follows is not None and not fails_now:
        analysis.tied.append(TiedToBoard(name, follows))
    elif is_flaky and not is_tied and (is_there or not fails_now or _comes_and_goes(fair)):
        counts = Counts(sum(one.failed_attempts > 0 for one in fair), len(fair))
        interval = wilson(counts.failed, counts.ran)
        analysis.flaky.append(Flaky(name, counts, *interval, fails_now=fails_now))
        analysis.messages[name] = window.newest_message(test)
    elif fails_now and not is_there:
        analysis.failing.append(
            failing_since(window, test, fair or ran, follows, bad_boards if fair else set())
        )
        analysis.messages[name] = window.newest_message(test)
    elif not fails_now and _was_failing(ran, newest) and ran[-2] in fair:
        analysis.fixed.append(name)


def _follows(window: Window, test: int, bad_boards: set[str]) -> Suspicion | None:
    """Return what a test's failures follow, without those on bad boards.

    Of a test that runs on each board the failures on another board are another finding.
    """
    found = window.suspect_of(test, bad_boards)
    own = {board for one in window.results[test] for board in one.boards}
    if found is not None and found.factor == "board" and found.value not in own:
        return _follows(window, test, bad_boards | {found.value})
    return found


def _is_boards_fault(window: Window, board: str, ran: list[Result], fair: list[Result]) -> bool:
    """Return True if the board's own failure rate explains a test's failures on a bad board."""
    if fair:
        return not fair[-1].outcome.is_failure
    rate = window.boards[board].rate
    return rate ** streak(ran) > SURE_P


def _was_failing(ran: list[Result], newest: int) -> bool:
    return len(ran) > 1 and ran[-1].run == newest and ran[-2].outcome.is_failure


def _comes_and_goes(results: list[Result]) -> bool:
    """Return True if failures came in several short spells; a present spell needs more of them before it."""
    spells = [(bad, sum(1 for _ in group)) for bad, group in groupby(results, key=_failed)]
    lengths = [length for bad, length in spells if bad]
    goes_on = bool(spells) and spells[-1][0]
    if len(lengths) < _FLAKY_SPELLS + 2 * goes_on:
        return False
    are_short = max(lengths) <= _SHORT or len(lengths) > _FLAKY_SPELLS + 1
    return are_short and statistics.mean(lengths) <= _SHORT and lengths[-1] <= _SHORT + 2


def _failed(result: Result) -> bool:
    return result.failed_attempts > 0


def _skipping(window: Window) -> list[AlwaysSkipped]:
    found = []
    for test, (name, verdict) in window.skipped_last().items():
        outcomes = window.outcomes(test)
        skipped = next(
            (at for at, (_, one) in enumerate(reversed(outcomes)) if one is not AttemptOutcome.SKIPPED),
            len(outcomes),
        )
        if skipped >= _SKIPPED_RUNS:
            since_s = window.runs[outcomes[-skipped][0]].began_s
            found.append(AlwaysSkipped(name, skipped, since_s, verdict))
    return sorted(found, key=lambda one: one.test)
