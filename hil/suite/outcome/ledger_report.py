"""The ledger as text for pytest's summary and as JUnit properties, and one outcome for each test in both.

pytest reports a body before its tear-down begins. A test that lost its board in its own tear-down was not
tested to its end: JUnit, ledger and history call it skipped, and so do the terminal's counts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import with_names
from hil.suite.markers import Kind
from hil.suite.outcome.ledger import CRASHED
from hil.suite.outcome.user_properties import has_verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.evidence.used_board import UsedBoard
    from hil.suite.outcome.ledger import Ledger

__all__ = [
    "CrashedTests",
    "JunitLedger",
    "TeardownSkips",
    "fault_lines",
    "junit_files",
    "junit_properties",
    "loud_line",
    "not_kept_lines",
    "summary_lines",
    "write_summary",
]

_SHOWN = 3
_WITH_BOARD = (Kind.HARDWARE, Kind.MIXED)


def write_summary(ledger: Ledger, terminal: pytest.TerminalReporter) -> None:
    """Write the ledger into pytest's summary; the loud line is last."""
    lines = summary_lines(ledger)
    if lines:
        terminal.write_sep("=", "hil: hardware ledger")

    def write(line: str, **color: bool) -> None:
        terminal.write_line(with_names(line), **color)

    for line in lines:
        write(line)
    for remark in ledger.remarks:
        write(remark, yellow=True)
    for line in late_lines(ledger):
        write(line, red=True, bold=True)
    for trouble in ledger.safe_since:
        write(f"MADE SAFE LATE, by its guard or a later holder: {trouble}", yellow=True, bold=True)
    for line in uncollected_lines(ledger) + fault_lines(ledger):
        write(line, red=True, bold=True)
    for line in not_kept_lines(ledger):
        write(line, red=True, bold=True)
    loud = loud_line(ledger)
    if loud:
        write(loud, yellow=True, bold=True)


def summary_lines(ledger: Ledger) -> list[str]:
    """Return boards, counts and reasons; nothing if no test uses a board."""
    lines = [
        f"{_tell(board)}: {number} {'test' if number == 1 else 'tests'} ran"
        for board, number in ledger.boards().items()
    ]
    lines += [
        f"{_tell(board)}: no test ran, {number} died in set-up"
        for board, number in ledger.died_in_setup().items()
    ]
    for kind in _WITH_BOARD:
        counts = ledger.counts(kind)
        if counts["planned"]:
            lines.append(f"{kind.value}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    lines += error_lines(ledger) + ledger.flashes.lines() + reason_lines(ledger)
    late = ledger.late_losses().most_common()
    lines += [
        f"{number} x in a tear-down, after the test had its outcome: {reason}" for reason, number in late
    ]
    lines += caught_lines(ledger) + vanished_lines(ledger) + dropped_lines(ledger)
    return lines + deselected_lines(ledger) if lines else []


def error_lines(ledger: Ledger) -> list[str]:
    """Return how many of the failed tests pytest counts as errors, if there are any."""
    errors = sum(one.error and one.kind in _WITH_BOARD for one in ledger.records.values())
    counts = "it as an error" if errors == 1 else "them as errors"
    return [f"{errors} failed in set-up or tear-down: pytest counts {counts}"] if errors else []


def caught_lines(ledger: Ledger) -> list[str]:
    """Return how many tests passed although they caught an error of their board, and the first of them."""
    caught = [f"{nodeid} ({error})" for nodeid, error in ledger.caught_errors().items()]
    if not caught:
        return []
    more = f" and {len(caught) - 1} more" if caught[1:] else ""
    return [f"{len(caught)} passed after they caught an error of their board: {caught[0]}{more}"]


def reason_lines(ledger: Ledger) -> list[str]:
    """Return why tests were skipped: the verdicts, then the reasons that their authors give."""
    proven = [f"{number} x {reason}" for reason, number in ledger.reasons().most_common()]
    own = sorted(ledger.own_skips().items(), key=lambda one: -len(one[1]))
    return proven + [
        f"{len(tests)} x skipped by its author: {reason} ({', '.join(_first_few(tests))})"
        for reason, tests in own
    ]


def _first_few(told: list[str]) -> list[str]:
    return told[:_SHOWN] + ([f"and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else [])


def uncollected_lines(ledger: Ledger) -> list[str]:
    """Return what could not be collected, and why: the first few and the number of the others."""
    failed = [f"{nodeid} {said}" for nodeid, said in ledger.uncollected.items()]
    return [f"NOT COLLECTED: {one}" for one in _first_few(failed)]


def vanished_lines(ledger: Ledger) -> list[str]:
    """Return how many files skipped themselves at collection, and the first few."""
    gone = [f"{nodeid} ({reason})" for nodeid, reason in ledger.vanished.items()]
    told = "; ".join(_first_few(gone))
    return [f"vanished at collection, with all their tests: {len(gone)}: {told}"] if gone else []


def dropped_lines(ledger: Ledger) -> list[str]:
    """Return how many collected tests a conftest or a plugin dropped, and the first few."""
    told = ", ".join(_first_few(list(ledger.dropped)))
    number = len(ledger.dropped)
    return [f"dropped after collection, by a conftest.py or a plugin: {number}: {told}"] if told else []


def deselected_lines(ledger: Ledger) -> list[str]:
    """Return how many tests were deselected: with -n pytest does not tell."""
    number = ledger.deselected
    return [f"deselected, by -k, -m or a plugin: {number}"] if number else []


def fault_lines(ledger: Ledger) -> list[str]:
    """Return what was wrong with each board that answered and could not be used."""
    return [f"FAULTY: {fault}" for _, fault in sorted(ledger.faults.items())]


def late_lines(ledger: Ledger) -> list[str]:
    """Return the errors that no test has raised: of the tear-downs of fixtures, and of releasing boards."""
    return [f"TEAR-DOWN FAILED: {line}" for line in ledger.late_errors] + [
        f"NOT MADE SAFE, the DUT may have power: {trouble}" for trouble in ledger.trouble
    ]


def not_kept_lines(ledger: Ledger) -> list[str]:
    """Return what could not be kept: the first few and the number of the others."""
    shown, more = ledger.not_kept[:_SHOWN], len(ledger.not_kept) - _SHOWN
    lines = [f"NOT KEPT: {line}" for line in shown]
    return [*lines, f"NOT KEPT: {more} more, likewise"] if more > 0 else lines


def loud_line(ledger: Ledger) -> str:
    """Return one line for a run in which no hardware test ran; empty for any other."""
    counts = ledger.counts(Kind.HARDWARE)
    if counts["ran"]:
        return ""
    mixed = sum(record.was_tested for record in ledger.of(Kind.MIXED))
    aside = (
        f"; {mixed} mixed test{'s' if mixed != 1 else ''} ran on {_their_boards(ledger)} boards"
        if mixed
        else ""
    )
    if not counts["planned"]:
        gone = f", {len(ledger.vanished)} files vanished at collection" if ledger.vanished else ""
        gone += f", {len(ledger.dropped)} dropped after collection" if ledger.dropped else ""
        gone += f", {ledger.deselected} deselected" if ledger.deselected else ""
        failed = f", {len(ledger.uncollected)} files could not be collected" if ledger.uncollected else ""
        return f"NO HARDWARE TEST RAN: none was planned{failed}{gone}{aside}"
    headlines = Counter(record.headline for record in ledger.of(Kind.HARDWARE) if record.headline)
    why = ", ".join(headline for headline, _ in headlines.most_common())
    skipped = f"{counts['planned']} planned, {counts['skipped']} skipped, {counts['failed']} failed"
    return f"NO HARDWARE TEST RAN: {skipped}{f' ({why})' if why else ''}{aside}"


def junit_properties(ledger: Ledger) -> dict[str, str]:
    """Return the ledger as properties of the whole JUnit suite."""
    properties = {
        f"hil_{kind.value}_{what.replace(' ', '_')}": str(number)
        for kind in _WITH_BOARD
        for what, number in ledger.counts(kind).items()
    }
    boards = "; ".join(map(_tell, ledger.boards()))
    return properties | {
        "hil_boards": boards,
        "hil_reasons": "; ".join(reason_lines(ledger)),
        "hil_uncollected": "; ".join(uncollected_lines(ledger)),
        "hil_vanished": "; ".join(vanished_lines(ledger)),
        "hil_dropped": "; ".join(dropped_lines(ledger)),
        "hil_deselected": "; ".join(deselected_lines(ledger)),
        "hil_faults": "; ".join(fault_lines(ledger)),
        "hil_late_errors": "; ".join(ledger.late_errors),
        "hil_no_hardware_ran": loud_line(ledger),
    }


def _tell(board: UsedBoard) -> str:
    kind = "SIMULATED" if board.simulated else "real"
    return f"board {board.label}, firmware {board.firmware}, {kind}"


def _their_boards(ledger: Ledger) -> str:
    boards = [record.boards[0] for record in ledger.of(Kind.MIXED) if record.was_tested]
    simulated = sum(board.simulated for board in boards)
    if simulated == len(boards):
        return "SIMULATED"
    return "real and SIMULATED" if simulated else "real"


def junit_files(config: pytest.Config) -> list[Any]:
    """Return what writes pytest's JUnit file, in a list; it is empty if this process writes none."""
    plugins = config.pluginmanager.get_plugins()
    return [one for one in plugins if callable(getattr(one, "add_global_property", None))]


class JunitLedger:
    """A plugin that puts the ledger into the JUnit file.

    Args:
        config: The run.
        ledger: The ledger.
    """

    def __init__(self, config: pytest.Config, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Add the properties of the whole suite, before pytest writes the file."""
        for file in junit_files(self._config):
            for name, value in junit_properties(self._ledger).items():
                file.add_global_property(name, value)


class CrashedTests:
    """A plugin, in a run with workers, that keeps one outcome in the JUnit file for a test whose worker died.

    Args:
        config: The run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)  # after pytest has added the report to the file
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Drop what a worker reported of a test before it died, if the test is rerun."""
        outcome: str = report.outcome
        if report.when == CRASHED and outcome == "rerun":
            for file in junit_files(self._config):
                _drop_testcase(file, file.node_reporter(report))


def _drop_testcase(file: Any, testcase: Any) -> None:  # noqa: ANN401 - pytest's LogXML has no public type
    """Remove a test case that is not complete from pytest's JUnit file, and its outcomes from the counts."""
    file.node_reporters = {key: one for key, one in file.node_reporters.items() if one is not testcase}
    file.node_reporters_ordered.remove(testcase)
    told = [node.tag for node in testcase.nodes if node.tag in file.stats]
    for outcome in told or (["passed"] if testcase.attrs else []):
        file.stats[outcome] -= 1


class TeardownSkips:
    """A plugin that replaces a pass in the terminal's counts by a skip in the tear-down of the same test.

    Args:
        config: The run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remove the pass from the terminal's counts when the tear-down reports that the board was lost."""
        if report.when != "teardown" or not report.skipped:
            return
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and has_verdict(report):
            terminal.stats["passed"] = _without(terminal.stats.get("passed", ()), report.nodeid)
            if not terminal.stats["passed"]:
                del terminal.stats["passed"]


def _without(passes: Iterable[pytest.TestReport], nodeid: str) -> list[pytest.TestReport]:
    return [one for one in passes if one.nodeid != nodeid]
