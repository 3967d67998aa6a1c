"""The laws that hold for every run, whatever its tests do and whatever happens to its boards.

Each is a function that yields a line for each breach. The witness is the record (requests at the boards with
their leases, faults, what the tests told), and what the simulator says of its boards: nothing of the suite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.laws.excuses import has_failed_fixture, has_faulty_board, has_met_fault, was_unusable
from tests.laws.expected_outcomes import expected_outcome
from tests.laws.life_of_test import BASES, Life, lives_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.laws.run_record import Spell
    from tests.laws.suite_run import Outcome

LAST_ATTEMPTS_S: Final = 6.0
"""How long before the end of a run the last attempt to make a board safe may have been made."""


def run_ends(run: Outcome) -> Iterator[str]:
    """The run ends, with a status of its own, and never by an internal error."""
    if run.status is None:
        yield "the run hung and was killed"
    elif run.status in (2, 3, 4) or run.status < 0:
        yield f"the run ended with status {run.status}"
    if "INTERNALERROR" in run.results.text:
        yield "the run had an internal error"


def every_request_is_under_lease(run: Outcome) -> Iterator[str]:
    """No request reaches a board but from the process that holds its lease; a look may."""
    for request in run.record.requests:
        if (
            request.pid
            and not request.is_look
            and (request.lease is None or request.lease.pid != request.pid)
        ):
            yield f"pid {request.pid} sent {request.text} to {request.board} under lease {request.lease}"


def a_pass_ran_on_its_board(run: Outcome) -> Iterator[str]:
    """A test that passed sent its requests to the board that JUnit names, leased for this very test."""
    for life in _lives(run):
        if life.outcome not in ("passed", "flaky") or not life.is_hardware:
            continue
        named = life.facts.get("hil_board", "")
        case = run.results.cases.get(life.name)
        if case is not None and case.properties.get("hil_board", "") != named:
            yield f"{life.name}: JUnit names board {case.properties.get('hil_board')}, its report {named}"
        requests = life.requests_in_body(run.record)
        for request in requests:
            if request.board != named:
                yield f"{life.name} passed on board {request.board}; JUnit names {named or 'none'}"
            elif request.lease is not None and request.lease.test not in life.nodeid:
                yield f"{life.name} passed under a lease for {request.lease.test!r}"
        if any(step not in ("settings", "fail_once", "thread") for step in life.plan.steps) and not requests:
            yield f"{life.name} passed, and no request of its body reached a board"
        if life.plan.tags and life.plan.tags not in run.tags.get(named, ()):
            yield f"{life.name} wants a board with tag {life.plan.tags} and passed on {named or 'none'}"


def fixtures_are_fresh(run: Outcome) -> Iterator[str]:
    """What a passing test's fixtures rest on is the test's board, as it was plugged in last."""
    setups = {told.facts["number"]: told for told in run.record.all("setup")}
    made_at = {told.facts["number"]: told.at for told in run.record.all("made")}
    for life in _lives(run):
        named = life.facts.get("hil_board", "")
        if life.outcome != "passed" or not life.bodies or not named:
            continue
        began = life.bodies[-1][0]
        for number in life.made:
            setup = setups[number]
            name = setup.facts["name"]
            if any(setup.at < plugged < began for plugged in run.record.plugged_at.get(named, [])):
                yield f"{life.name} passed with {name}, made before board {named} was unplugged or replugged"
            for request in run.record.requests:
                inside = setup.at < request.at < made_at.get(number, setup.at)
                if inside and request.pid == setup.pid and not request.is_look and request.board != named:
                    yield f"{life.name} passed on {named} with {name}, made on board {request.board}"


def a_skip_is_proven(run: Outcome) -> Iterator[str]:
    """A skipped test's board could not be used; if it had none, no board that suited it could.

    With --hil-require no test is skipped.
    """
    for life in _lives(run):
        if "skipped" not in life.outcomes:
            continue
        if run.suite.require:
            yield f"{life.name} was skipped although hardware is required"
        given = life.facts.get("hil_board")
        for serial, tags in run.tags.items():
            suits = serial == given if given else not life.plan.tags or life.plan.tags in tags
            if suits and not was_unusable(run, serial, life):
                why = life.facts.get("hil_reason", "")
                yield f"{life.name} was skipped while board {serial} could be used: {why}"


def every_test_has_one_outcome(run: Outcome) -> Iterator[str]:
    """Each test that was collected has one outcome, and at most one error in its tear-down beside it.

    A test whose own tear-down met the loss of its board is skipped: the terminal takes its pass back.
    """
    for life in _lives(run):
        words = life.outcomes
        if words[:1] not in ([base] for base in (*BASES, "error")) or words[1:] not in (
            [],
            ["teardown error"],
        ):
            yield f"{life.name} has the outcomes {words}"


def all_accounts_agree(run: Outcome) -> Iterator[str]:
    """Terminal, ledger and JUnit tell the same."""
    lives = _lives(run)
    counted = [word for life in lives for word in life.counted]
    for word in (*BASES, "error"):
        number = counted.count(word) + (counted.count("teardown error") if word == "error" else 0)
        if run.results.counts.get(word, 0) != number:
            yield f"the terminal counts {run.results.counts.get(word, 0)} {word}, reports say {number}"
    for life in lives:
        case = run.results.cases.get(life.name)
        told = sorted(_in_junit(life.outcomes))
        with_reruns = sorted(_in_junit(life.counted))
        if case is None or sorted(case.results) not in (told, with_reruns):
            yield f"{life.name}: JUnit says {case and case.results}, reports say {told}"
    yield from _ledger_disagrees(run, [life for life in lives if life.is_hardware])


def _in_junit(outcomes: list[str]) -> list[str]:
    words = {
        "failed": "failed",
        "flaky": "failed",
        "skipped": "skipped",
        "error": "error",
        "teardown error": "error",
    }
    return [words[word] for word in outcomes if word in words] or ["passed"]


def _ledger_disagrees(run: Outcome, lives: list[Life]) -> Iterator[str]:
    if not lives:
        return
    failed = [life for life in lives if not {"failed", "error", "teardown error"}.isdisjoint(life.outcomes)]
    numbers = {
        "planned": len(lives),
        "failed": len(failed),
        "skipped": sum("skipped" in life.outcomes for life in lives),
        "flaky": sum("flaky" in life.outcomes for life in lives),
    }
    for word, number in numbers.items():
        for where, ledger in (("ledger", run.results.ledger), ("JUnit's ledger", run.results.junit_ledger)):
            if ledger.get(word, 0) != number:
                yield f"the {where} says {ledger.get(word, 0)} {word}, reports say {number}"


def the_status_is_right(run: Outcome) -> Iterator[str]:
    """The exit status is 0 if and only if nothing failed, was flaky, was required in vain or left unsafe."""
    lives = _lives(run)
    words = {word for life in lives for word in life.outcomes}
    failed = [life for life in lives if not {"failed", "error", "teardown error"}.isdisjoint(life.outcomes)]
    told = ("NOT MADE SAFE", "MADE SAFE LATE", "FAULTY", "TEAR-DOWN FAILED")
    unsafe = any(word in run.results.text for word in told)
    own = any("hil_verdict" not in life.facts for life in failed)
    if own and run.status != 1:
        yield f"tests failed, and the status is {run.status}"
    elif failed and run.status not in (1, 16):
        yield f"tests failed for want of hardware, and the status is {run.status}"
    elif not failed and "flaky" in words and run.status not in ((1, 16, 17) if unsafe else (17,)):
        yield f"a test was flaky, and the status is {run.status}"
    elif not failed and "flaky" not in words and run.status and not unsafe and not run.suite.require:
        yield f"no test failed, and the status is {run.status}"


def a_failed_attempt_stays_failed(run: Outcome) -> Iterator[str]:
    """A test of which an attempt failed is neither passed nor skipped, for status, ledger and JUnit.

    With --reruns a later attempt may pass, and none may skip.
    """
    asserted = {told.facts["test"] for told in run.record.all("step") if told.facts["step"] == "fail"}
    asserted_once = {told.facts["name"] for told in run.record.all("attempt")}
    failed = []
    for life in _lives(run):
        told = {
            report.facts["outcome"] for report in life.reports if "hil_verdict" not in report.facts["facts"]
        }
        if life.nodeid in asserted or (
            not run.suite.reruns and (life.nodeid in asserted_once or "repeated" in told)
        ):
            failed.append(life)
        elif "skipped" in life.outcomes and (life.nodeid in asserted_once or "rerun" in told):
            yield f"{life.name} was skipped after an attempt of it had failed"
    for life in failed:
        if {"passed", "skipped"}.intersection(life.outcomes) or not life.outcomes:
            yield f"an attempt of {life.name} failed, and its outcomes are {life.outcomes}"
        case = run.results.cases.get(life.name)
        if case is not None and not {"failed", "error"}.intersection(case.results):
            yield f"an attempt of {life.name} failed, and JUnit says {case.results}"
    if failed and not run.status:
        yield f"attempts of {len(failed)} tests failed, and the status is 0"
    hardware = [life for life in failed if life.is_hardware]
    for where, ledger in (("ledger", run.results.ledger), ("JUnit's ledger", run.results.junit_ledger)):
        if ledger.get("failed", 0) + ledger.get("flaky", 0) < len(hardware):
            yield f"attempts of {len(hardware)} hardware tests failed, and the {where} says {ledger}"


def tear_down_errors_make_the_run_red(run: Outcome) -> Iterator[str]:
    """Each error of a fixture's tear-down makes the run red; a test that is rerun for it may pass."""
    raised = [(nodeid, fixture) for nodeid, fixture in _raised(run) if not (nodeid and run.suite.reruns)]
    if raised and not run.status:
        yield f"tear-downs of fixtures failed, and the status is 0: {raised}"


def everything_is_off(run: Outcome) -> Iterator[str]:
    """After the run each board is safe, or something kept it from being made safe, and its record says so."""
    for serial, truth in run.boards.items():
        pins = set(truth["pins_set"].values())
        state = f"supply {truth['supply']}, stick {truth['mux']}, pins {sorted(pins)}"
        is_safe = not truth["supply"] and truth["mux"] == "off" and pins == {"floating"}
        record = run.records[serial]
        kept = [spell.kind for spell in run.record.spells if spell.board == serial and _was_late(run, spell)]
        if not is_safe and (not kept or record == "safe"):
            yield f"board {serial} was left with {state}; its record says {record!r}; faults: {kept}"
        met = [spell for spell in run.record.spells if spell.board == serial and spell.kind != "busy"]
        if is_safe and not met and record not in ("safe", ""):
            yield f"board {serial} met no fault, and its record says {record!r}"
        if any(_was_lost_for_good(spell, serial) for spell in run.record.spells) and record in ("safe", ""):
            yield f"board {serial} was unplugged while a run held it, and its record says {record!r}"
    for command in run.unsettled:
        yield f"a guard of a board that can be used is not done: {command[:200]}"


def _was_lost_for_good(spell: Spell, serial: str) -> bool:
    return spell.board == serial and spell.kind == "unplug" and spell.was_leased and spell.ended_s is None


def _was_late(run: Outcome, spell: Spell) -> bool:
    """Return True for a fault that may have kept a board from being made safe: its last attempts fail."""
    return spell.kind != "busy" and (spell.ended_s is None or spell.ended_s > run.ended_s - LAST_ATTEMPTS_S)


def tear_down_errors_belong_to_a_test(run: Outcome) -> Iterator[str]:
    """An exception in a fixture's tear-down is one error: of the test that was being torn down.

    Or of the one that is set up, where that needs another parameter of a fixture, or where the board was lost
    or came back between two tests. If no test is left for that, the summary tells the error.
    """
    if run.suite.reruns or run.suite.repeats:
        return
    raised = {nodeid for nodeid, _ in _raised(run)}
    for nodeid, fixture in _raised(run):
        if not nodeid and f"TEAR-DOWN FAILED: tear-down of fixture {fixture} failed" not in run.results.text:
            yield f"the tear-down of {fixture} failed outside of every test"
    for life in _lives(run):
        if life.nodeid in raised and not {"error", "teardown error"}.intersection(life.outcomes):
            yield f"a fixture's tear-down failed in {life.name}, whose outcomes are {life.outcomes}"


def _raised(run: Outcome) -> Iterator[tuple[str, str]]:
    """Yield each test in which a fixture's tear-down failed, and the fixture; an empty name: in none.

    What failed between two tests of a process belongs to the second one. So does what failed in a test that
    the process gave back to the controller: it began once more, in this process or in another, and only then
    it ran.
    """
    now: dict[int, str] = {}
    between: dict[int, list[str]] = {}
    ran = {told.facts["test"]: told.at for told in run.record.all("before")}
    for told in run.record.all("before", "after", "raises"):
        if told.what == "before" and ran[told.facts["test"]] == told.at:
            now[told.pid] = told.facts["test"]
            yield from ((now[told.pid], name) for name in between.pop(told.pid, ()))
        elif told.what == "after":
            now.pop(told.pid, None)
        elif told.what == "raises" and told.pid in now:
            yield now[told.pid], told.facts["name"]
        elif told.what == "raises":
            between.setdefault(told.pid, []).append(told.facts["name"])
    yield from (("", name) for names in between.values() for name in names)


def the_innocent_have_their_outcome(run: Outcome) -> Iterator[str]:
    """A test that met no fault of its board has the outcome that it was written to have."""
    raised = {nodeid for nodeid, _ in _raised(run) if nodeid}
    for life in _lives(run):
        expected = expected_outcome(life.plan, run.suite)
        if not expected or life.outcome in expected or has_met_fault(run, life):
            continue
        # a fixture of the test before ends in the set-up of the one that needs another parameter
        ended_in_setup = life.nodeid in raised
        excused = ended_in_setup or has_failed_fixture(run, life) or has_faulty_board(run, life)
        if life.outcome != "error" or not excused:
            text = life.reports[-1].facts["text"] if life.reports else ""
            failing = [report.facts["text"] for report in life.reports if report.facts["text"]]
            wanted = " or ".join(expected)
            yield f"{life.name} met no fault and is {life.outcomes}, not {wanted}: {failing or text}"


def _lives(run: Outcome) -> list[Life]:
    return lives_of(run.suite, run.record)


LAWS: tuple[Callable[[Outcome], Iterator[str]], ...] = (
    run_ends,
    every_request_is_under_lease,
    a_pass_ran_on_its_board,
    fixtures_are_fresh,
    a_skip_is_proven,
    every_test_has_one_outcome,
    all_accounts_agree,
    the_status_is_right,
    a_failed_attempt_stays_failed,
    tear_down_errors_make_the_run_red,
    everything_is_off,
    tear_down_errors_belong_to_a_test,
    the_innocent_have_their_outcome,
)


def breaches(run: Outcome) -> list[str]:
    """Return a line for each breach of a law."""
    return [f"{law.__name__}: {line}" for law in LAWS for line in law(run)]
