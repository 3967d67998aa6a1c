"""What faults explain: a board that could not be used, and errors in set-up after a fault was over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.laws.life_of_test import lives_of

if TYPE_CHECKING:
    from tests.laws.life_of_test import Life
    from tests.laws.run_record import Told
    from tests.laws.suite_run import Outcome

UNUSABLE: Final = ("unplug", "hang", "deny", "busy")
"""Faults of a board that cannot be used, as can one whose line errors do not end.

One that refuses requests answers: its tests fail.
"""

NOTICED_S: Final = 0.5
"""For how long a fault may be noticed after its end: Linux still lists the board, or udev is not yet done."""

FORGOTTEN_S: Final = 1.5
"""How long after a fault a test may still suffer from it."""


def was_unusable(run: Outcome, serial: str, life: Life) -> bool:
    """Return True if a fault kept tests from a board while a test was about to run, or ran."""
    spells = [spell for spell in run.record.spells if spell.board == serial]
    return any(
        spell.overlaps(life.since_s - NOTICED_S, life.until_s)
        if spell.kind in UNUSABLE
        else spell.kind == "line_error" and spell.overlaps(life.until_s, life.until_s)
        for spell in spells
    )


def has_met_fault(run: Outcome, life: Life) -> bool:
    """Return True if a board of a test was not as it should be since the end of the test before it."""
    boards = _boards_of(run, life)
    return any(
        spell.board in boards and spell.overlaps(life.since_s - FORGOTTEN_S, life.until_s)
        for spell in run.record.spells
    )


def _boards_of(run: Outcome, life: Life) -> set[str]:
    """Return the boards that a test used or, if it got none, could have used; no other board explains it.

    What rests on the board of the test before in the same process may end in this test's set-up.
    """
    named = {report.facts["facts"].get("hil_board") for report in life.reports}
    boards = {serial for serial in named if serial}
    if not boards and life.is_hardware:
        boards = {serial for serial, tags in run.tags.items() if not life.plan.tags or life.plan.tags in tags}
    before = (one for one in lives_of(run.suite, run.record) if one.pid == life.pid)
    boards |= {one.facts.get("hil_board", "") for one in before if one.until_s == life.since_s}
    return boards | {
        request.board
        for request in run.record.requests
        if request.pid == life.pid and life.since_s <= request.time_s <= life.until_s
    }


def has_faulty_board(run: Outcome, life: Life) -> bool:
    """Return True if a test was refused the one board that suits it while a guard was making that board safe.

    The board refused requests, so the run left it to its guard; other boards that suit could not be used.
    """
    told = _error_of(life)
    suiting = [serial for serial, tags in run.tags.items() if not life.plan.tags or life.plan.tags in tags]
    return any(re.search(rf"board (\S+ \()?{serial}\)? is faulty", told) for serial in suiting) and all(
        _is_with_its_guard(run, serial, life)
        or was_unusable(run, serial, life)
        or _is_with_another_worker(run, serial, life)
        for serial in suiting
    )


def _is_with_its_guard(run: Outcome, serial: str, life: Life) -> bool:
    """Return True if a guard that got a board because of a stall was not done with it when a test began."""
    of_tests = {told.pid for told in run.record.told}
    of_run = [one.time_s for one in run.record.requests if one.board == serial and one.pid in of_tests]
    of_guards: dict[int, list[float]] = {}
    for request in run.record.requests:
        if request.board == serial and request.pid and request.pid not in of_tests:
            of_guards.setdefault(request.pid, []).append(request.time_s)
    left = {
        times[0]: max((at for at in of_run if at < times[0]), default=times[0])
        for times in of_guards.values()
    }
    stalls = [spell for spell in run.record.spells if spell.board == serial and spell.kind == "stall"]
    return any(
        left[times[0]] <= life.until_s
        and life.since_s - NOTICED_S <= times[-1]
        and any(spell.overlaps(left[times[0]] - NOTICED_S, left[times[0]]) for spell in stalls)
        for times in of_guards.values()
    )


def _is_with_another_worker(run: Outcome, serial: str, life: Life) -> bool:
    """Return True if another worker used a board last before the end of a test."""
    used = [one for one in run.record.requests if one.board == serial and one.time_s <= life.until_s]
    lease = used[-1].lease if used else None
    return lease is not None and lease.pid in {told.pid for told in run.record.told} - {life.pid}


def _error_of(life: Life) -> str:
    """Return the end of the text of a test's error in set-up."""
    failing = (report.facts for report in reversed(life.reports) if report.facts["outcome"] == "failed")
    return next((facts["text"] for facts in failing if facts["when"] == "setup"), "")


def has_failed_fixture(run: Outcome, life: Life) -> bool:
    """Return True if a test's error is the one with which a fixture's set-up met a fault in an earlier test.

    pytest keeps the error of a fixture of a scope that both tests are in, and sets the fixture up no more.
    """
    wanted = _fixtures_of(run, life)
    last: dict[str, Told] = {}
    for told in run.record.all("setup"):
        if told.pid == life.pid and told.time_s < life.until_s and told.facts["name"] in wanted:
            last[told.facts["name"]] = told
    made = {told.facts["number"] for told in run.record.all("made")}
    return any(
        setup.facts["number"] not in made
        and earlier.pid == life.pid
        and earlier.since_s <= setup.time_s <= earlier.until_s <= life.since_s
        and _place(earlier, wanted[name]) == _place(life, wanted[name])
        and _error_of(life).splitlines()[-1:] == _error_of(earlier).splitlines()[-1:] != []
        and any(
            spell.board == earlier.facts.get("hil_board")
            and spell.overlaps(setup.time_s - FORGOTTEN_S, earlier.until_s)
            for spell in run.record.spells
        )
        for name, setup in last.items()
        for earlier in lives_of(run.suite, run.record)
    )


def _fixtures_of(run: Outcome, life: Life) -> dict[str, str]:
    """Return the scope of each fixture that a test needs and that can last longer than the test."""
    found: dict[str, str] = {}
    left = list(life.plan.uses)
    while left:
        name = left.pop()
        for fixture in run.suite.fixtures:
            if fixture.name == name and fixture.folder in ("", life.plan.folder) and name not in found:
                found[name] = fixture.scope
                left.append(fixture.rests_on)
    return {name: scope for name, scope in found.items() if scope != "function"}


def _place(life: Life, scope: str) -> str:
    """Return the part of a test's id that names the place in which a fixture of a scope lasts."""
    if scope == "class":
        return life.nodeid.rpartition("::")[0]
    return life.nodeid.partition("::")[0] if scope == "module" else ""
