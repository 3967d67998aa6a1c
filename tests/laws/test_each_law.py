"""Each law can be broken: a record of a run that broke it is told as a breach, one that held it is not."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from tests.laws import laws
from tests.laws.lease_witness import Lease
from tests.laws.run_record import Record
from tests.laws.run_results import Case, Results
from tests.laws.suite_plan import Fixture, Suite, Test
from tests.laws.suite_run import Outcome

ONE, TWO = "0000000a", "0000000b"
PID, GUARD = 100, 200
NODE = "suite/test_top.py::test_0"
FORCE_ON, REFRESH, VERSION = (0x41, 1, 3), (0x41, 0, 0), (0xC1, 4, 0)
UNDER_LEASE = Lease(PID, NODE, "now")
SAFE = {"supply": False, "mux": "off", "pins_set": {"a": "floating"}, "faults": {}, "lease": None}


def run_of(*, outcome: str = "passed", steps: tuple[str, ...] = ("on",), tags: str = "") -> Outcome:
    """Return a run of one test on board ONE, in which no law is broken; its request is not in it yet."""
    suite = Suite(tests=(Test("test_0", steps=steps, tags=tags),))
    record = Record()
    record.tell("collected", PID, {"tests": {NODE: ["hardware"]}})
    record.tell("before", PID, {"test": NODE})
    report(record, "setup", "passed")
    record.tell("body", PID, {"test": NODE, "made": []})
    return Outcome(
        suite,
        record,
        Results(
            "",
            counts={outcome: 1},
            ledger={"planned": 1, outcome: 1},
            junit_ledger={"planned": 1, outcome: 1},
            cases={"test_0": Case((outcome,), {"hil_board": ONE})},
        ),
        status=int(outcome == "failed"),
        boards={ONE: dict(SAFE), TWO: dict(SAFE)},
        records={ONE: "safe", TWO: ""},
        tags={ONE: ("one",), TWO: ("two",)},
    )


def report(
    record: Record, when: str, outcome: str, *, nodeid: str = NODE, text: str = "", **facts: Any
) -> None:
    told = {"wasxfail": False, "text": text, "facts": {"hil_board": ONE, **facts}}
    record.tell("report", PID, {"test": nodeid, "when": when, "outcome": outcome, **told})


def request(
    run: Outcome, board: str, what: tuple[int, int, int], lease: Lease | None, pid: int = PID
) -> None:
    run.record.note_request(board, f"pid {pid}", what, lease)


def finish(run: Outcome, outcome: str = "passed", **facts: Any) -> list[str]:
    """End the test's body and the run; return which laws it broke."""
    run.record.tell("body over", PID, {"test": NODE})
    report(run.record, "call", outcome, **facts)
    report(run.record, "teardown", "passed", **facts)
    run.record.tell("after", PID, {"test": NODE})
    run.ended_s = run.record.told[-1].time_s
    return sorted({line.partition(":")[0] for line in laws.breaches(run)})


def test_laws_hold_for_a_run_as_it_should_be() -> None:
    run = run_of()
    request(run, TWO, VERSION, None)  # a look
    request(run, ONE, FORCE_ON, UNDER_LEASE)

    assert finish(run) == []


@pytest.mark.parametrize("lease", [None, replace(UNDER_LEASE, pid=GUARD)])
def test_every_request_is_under_lease_finds_one_outside(lease: Lease | None) -> None:
    run = run_of()
    request(run, ONE, FORCE_ON, UNDER_LEASE)
    request(run, ONE, FORCE_ON, lease)

    assert "every_request_is_under_lease" in finish(run)


def test_a_pass_ran_on_its_board_finds_another_board() -> None:
    run = run_of()
    request(run, TWO, FORCE_ON, UNDER_LEASE)

    assert finish(run) == ["a_pass_ran_on_its_board"]


def test_a_pass_ran_on_its_board_finds_a_board_without_the_tag() -> None:
    run = run_of(tags="two")
    request(run, ONE, FORCE_ON, UNDER_LEASE)

    assert finish(run) == ["a_pass_ran_on_its_board"]


def test_a_pass_ran_on_its_board_finds_a_pass_that_reached_none() -> None:
    run = run_of()
    request(run, ONE, REFRESH, UNDER_LEASE)

    assert finish(run) == ["a_pass_ran_on_its_board"]


def test_fixtures_are_fresh_finds_one_from_before_a_replug() -> None:
    run = run_of(steps=())
    record = run.record
    record.tell("setup", PID, {"name": "fixture_0", "number": "1"})
    record.tell("made", PID, {"name": "fixture_0", "number": "1"})
    record.plugged_at[ONE] = [record.next()]
    record.tell("body", PID, {"test": NODE, "made": ["1"]})

    assert finish(run) == ["fixtures_are_fresh"]


def test_a_skip_is_proven_accepts_a_board_that_was_gone() -> None:
    run = run_of(outcome="skipped")
    run.record.begin("unplug", ONE)

    assert finish(run, "skipped") == []


def test_a_skip_is_proven_finds_a_board_that_could_be_used() -> None:
    run = run_of(outcome="skipped")
    run.record.begin("stall", ONE)

    assert finish(run, "skipped") == ["a_skip_is_proven"]


def test_every_test_has_one_outcome_finds_none() -> None:
    run = run_of()
    request(run, ONE, FORCE_ON, UNDER_LEASE)
    run.record.tell("after", PID, {"test": NODE})

    broken = {line.partition(":")[0] for line in laws.breaches(run)}

    assert {"every_test_has_one_outcome", "all_accounts_agree"} <= broken


def test_every_test_has_one_outcome_accepts_a_skip_in_the_place_of_a_pass() -> None:
    run = run_of(outcome="skipped")
    run.record.begin("unplug", ONE)
    report(run.record, "call", "passed")
    report(run.record, "teardown", "skipped", hil_verdict="lost")

    broken = {line.partition(":")[0] for line in laws.breaches(run)}
    assert not broken & {"every_test_has_one_outcome", "all_accounts_agree"}


@pytest.mark.parametrize("outcome", ["failed", "skipped", "passed"])
def test_every_test_has_one_outcome_finds_a_skip_beside_another_outcome(outcome: str) -> None:
    run = run_of(outcome=outcome, steps=())
    report(run.record, "call", outcome)
    report(run.record, "teardown", "skipped")

    assert any(line.startswith("every_test_has_one_outcome") for line in laws.breaches(run))


def test_all_accounts_agree_finds_a_failure_that_junit_lacks() -> None:
    run = run_of(outcome="failed", steps=("on", "fail"))
    request(run, ONE, FORCE_ON, UNDER_LEASE)
    run.results.cases["test_0"] = Case(("passed",), {"hil_board": ONE})

    assert finish(run, "failed") == ["all_accounts_agree"]


def test_the_status_is_right_finds_a_green_failure() -> None:
    run = run_of(outcome="failed", steps=("on", "fail"))
    run.status = 0

    assert finish(run, "failed") == ["the_status_is_right"]


@pytest.mark.parametrize("wrong", [{"supply": True}, {"mux": "dut"}, {"pins_set": {"a": "high"}}])
def test_everything_is_off_finds_what_is_not(wrong: dict[str, Any]) -> None:
    run = run_of(steps=())
    run.boards[ONE] |= wrong

    assert finish(run) == ["everything_is_off"]


@pytest.mark.parametrize("told", ["passed", "skipped"])
def test_a_failed_attempt_stays_failed_finds_one_that_was_forgotten(told: str) -> None:
    run = run_of(outcome=told, steps=("fail",))
    run.record.tell("step", PID, {"test": NODE, "number": 0, "step": "fail"})

    assert "a_failed_attempt_stays_failed" in finish(run, told)


def test_a_failed_attempt_stays_failed_finds_a_repetition_without_an_outcome() -> None:
    run = run_of()
    request(run, ONE, FORCE_ON, UNDER_LEASE)
    run.status = 1

    assert "a_failed_attempt_stays_failed" in finish(run, "repeated")


def test_a_failed_attempt_stays_failed_accepts_a_rerun_that_passes() -> None:
    run = run_of(steps=("fail_once",))
    run.suite = replace(run.suite, reruns=1)
    run.record.tell("attempt", PID, {"name": NODE})
    request(run, ONE, FORCE_ON, UNDER_LEASE)

    assert finish(run) == []


def test_tear_down_errors_make_the_run_red_finds_a_green_run() -> None:
    run = run_of()
    request(run, ONE, FORCE_ON, UNDER_LEASE)
    run.results.text = "TEAR-DOWN FAILED: tear-down of fixture fixture_0 failed after the last test"

    finish(run)
    run.record.tell("raises", PID, {"name": "fixture_0"})

    broken = {line.partition(":")[0] for line in laws.breaches(run)}
    assert broken == {"tear_down_errors_make_the_run_red"}


def test_everything_is_off_wants_a_lost_board_in_the_record() -> None:
    run = run_of(steps=(), outcome="skipped")
    run.record.begin("unplug", ONE, was_leased=True)

    assert finish(run, "skipped") == ["everything_is_off"]


def test_tear_down_errors_belong_to_a_test_finds_one_outside() -> None:
    run = run_of(steps=())
    broken = finish(run)
    run.record.tell("raises", PID, {"name": "fixture_0"})

    after = [line.partition(":")[0] for line in laws.breaches(run)]

    assert broken == []
    assert set(after) == {"tear_down_errors_belong_to_a_test", "tear_down_errors_make_the_run_red"}


@pytest.mark.parametrize("outcome", ["passed", "error"])
def test_tear_down_errors_between_two_tests_belong_to_the_second(outcome: str) -> None:
    run = run_of(steps=())
    told = run.record.told
    run.record.tell("raises", PID, {"name": "fixture_0"})
    told.insert(1, told.pop())  # before the test
    if outcome == "error":
        run.record.told[3].facts["outcome"] = "failed"

    broken = set(laws.tear_down_errors_belong_to_a_test(run))

    assert bool(broken) is (outcome == "passed")


@pytest.mark.parametrize(
    ("first_process", "has_next", "of"),
    [
        (PID + 1, True, "test_it.py::test_1"),
        (PID + 1, False, ""),
        (PID, True, "test_it.py::test_1"),
        (PID, False, NODE),
    ],
    ids=["a later test", "no later test", "a later test, then the same", "the same test"],
)
def test_tear_down_errors_in_a_test_that_was_given_back_belong_to_the_next_of_that_process(
    first_process: int, has_next: bool, of: str
) -> None:
    run = run_of(steps=())
    begun = run.record.told
    for what, facts in (
        ("before", {"test": NODE}),
        ("raises", {"name": "fixture_0"}),
        ("after", {"test": NODE}),
    ):
        run.record.tell(what, first_process, facts)
    if has_next:
        run.record.tell("before", first_process, {"test": "test_it.py::test_1"})
    begun[1:1] = [begun.pop() for _ in range(3 + has_next)][
        ::-1
    ]  # all of it before this process ran the test

    raised = list(laws._raised(run))

    assert raised == [(of, "fixture_0")]


def test_the_innocent_have_their_outcome_finds_a_failure_without_a_cause() -> None:
    run = run_of(outcome="failed", steps=())

    assert finish(run, "failed") == ["the_innocent_have_their_outcome"]


def test_the_innocent_have_their_outcome_excuses_one_that_met_a_fault() -> None:
    run = run_of(outcome="failed", steps=())
    run.record.begin("stall", ONE)

    assert finish(run, "failed") == []


def test_the_innocent_have_their_outcome_is_excused_by_no_other_board() -> None:
    run = run_of(outcome="failed", steps=())
    run.record.begin("stall", TWO)

    assert finish(run, "failed") == ["the_innocent_have_their_outcome"]


def test_the_innocent_have_their_outcome_excuses_a_fault_of_the_board_before() -> None:
    run = later_error(STALL)
    run.record.spells[0].board = TWO
    first = next(told for told in run.record.told if told.what == "report")
    first.facts["facts"]["hil_board"] = TWO
    run.record.spells[0].ended_s = None

    assert innocent(run)


FAULTY = f"E hil.errors.BoardUnsafeError: board {ONE} is faulty"
STALL = "hil/dutlink/usb/control_link.py:1: BoardFaultError"
SECOND = "suite/test_top.py::test_1"


def later_error(text: str, *, scope: str = "module", tags: str = "", board: str = ONE) -> Outcome:
    """Return a run whose second test has an error in set-up, long after a stall in the first test.

    The stall struck in the set-up of a fixture, so the run left its board to a guard; it ended with the test.
    """
    run = run_of(outcome="error", steps=())
    fixture = Fixture("fixture_0", scope)
    tests = (replace(run.suite.tests[0], uses=("fixture_0",)), Test("test_1", uses=("fixture_0",), tags=tags))
    run.suite = replace(run.suite, tests=tests, fixtures=(fixture,))
    record = run.record = Record()
    record.tell("collected", PID, {"tests": {NODE: ["hardware"], SECOND: ["hardware"]}})
    record.tell("before", PID, {"test": NODE})
    record.tell("setup", PID, {"name": "fixture_0", "number": "1"})
    stall = record.begin("stall", board)
    request(run, ONE, FORCE_ON, UNDER_LEASE)
    report(record, "setup", "failed", text=STALL)
    stall.ended_s = time.monotonic()
    request(run, ONE, FORCE_ON, replace(UNDER_LEASE, pid=GUARD), GUARD)
    record.tell("after", PID, {"test": NODE})
    record.tell("before", PID, {"test": SECOND})
    report(record, "setup", "failed", nodeid=SECOND, text=text)
    record.tell("after", PID, {"test": SECOND})
    _let_pass(run, 10.0)
    return run


def _let_pass(run: Outcome, seconds: float) -> None:
    """Let the second test of a run begin that much later."""
    record = run.record
    at = next(told.at for told in record.told if told.what == "before" and told.facts["test"] == SECOND)
    first_over = next(told for told in record.told if told.what == "after")
    record.told = [
        replace(told, time_s=told.time_s + seconds) if told.at >= at or told is first_over else told
        for told in record.told
    ]


def innocent(run: Outcome) -> bool:
    """Return True if no test of a run had another outcome than it was written to have."""
    return not list(laws.the_innocent_have_their_outcome(run))


def guard_works_until(run: Outcome, seconds: float) -> None:
    """Let the guard's last request come that much later than the first."""
    record = run.record
    request(run, ONE, FORCE_ON, replace(UNDER_LEASE, pid=GUARD), GUARD)
    record.requests[-1] = replace(record.requests[-1], time_s=record.requests[0].time_s + seconds)


def test_the_innocent_have_their_outcome_excuses_a_board_that_is_with_its_guard() -> None:
    run = later_error(FAULTY, tags="one")
    guard_works_until(run, 10.0)

    assert innocent(run)


def test_the_innocent_have_their_outcome_finds_a_board_called_faulty_after_its_guard() -> None:
    run = later_error(FAULTY, tags="one")
    guard_works_until(run, 8.0)

    assert not innocent(run)


def test_the_innocent_have_their_outcome_finds_a_faulty_board_that_no_guard_got() -> None:
    run = later_error(FAULTY, tags="one")
    del run.record.requests[1:]

    assert not innocent(run)


def test_the_innocent_have_their_outcome_finds_a_faulty_board_beside_one_that_suits() -> None:
    run = later_error(FAULTY)
    guard_works_until(run, 10.0)

    assert not innocent(run)


def test_the_innocent_have_their_outcome_finds_a_faulty_board_that_does_not_suit() -> None:
    run = later_error(FAULTY, tags="two")
    guard_works_until(run, 10.0)

    assert not innocent(run)


def test_the_innocent_have_their_outcome_finds_a_faulty_board_without_a_fault() -> None:
    run = later_error(FAULTY, tags="one", board=TWO)
    guard_works_until(run, 10.0)

    assert not innocent(run)


def test_the_innocent_have_their_outcome_excuses_the_error_that_a_fixture_keeps() -> None:
    assert innocent(later_error(STALL))


@pytest.mark.parametrize(
    "changed",
    [{"scope": "function"}, {"scope": "class"}, {"board": TWO}, {"text": "test_top.py:9: AttributeError"}],
)
def test_the_innocent_have_their_outcome_finds_an_error_that_no_fixture_keeps(
    changed: dict[str, Any],
) -> None:
    run = later_error(**{"text": STALL, **changed})
    if changed.get("scope") == "class":
        rename(run, "suite/test_top.py::TestTogether::test_1")

    assert not innocent(run)


def test_the_innocent_have_their_outcome_finds_an_error_of_a_fixture_that_was_set_up_again() -> None:
    run = later_error(STALL)
    run.record.tell("setup", PID, {"name": "fixture_0", "number": "2"})
    told = run.record.told
    told.insert(-2, replace(told.pop(), time_s=told[-2].time_s))

    assert not innocent(run)


def rename(run: Outcome, nodeid: str) -> None:
    """Give the second test of a run another id."""
    for told in run.record.told:
        if told.facts.get("test") == SECOND:
            told.facts["test"] = nodeid
        elif told.what == "collected":
            told.facts["tests"] = {NODE: ["hardware"], nodeid: ["hardware"]}


@pytest.mark.parametrize("status", [None, 3, 4])
def test_run_ends_finds_a_run_that_did_not(status: int | None) -> None:
    run = run_of(steps=())
    run.status = status

    assert "run_ends" in finish(run)
