"""Keep the numbers of each attempt of a test in its reports and in JUnit; a broken limit is a failure.

The numbers travel as an attribute of the reports, which xdist sends to the controller.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import BrokenLimitError
from hil.suite.outcome.attempts import attempts_of, skip_text
from hil.suite.outcome.user_properties import overrule_judgement
from hil.suite.recording.phases import NUMBERS, numbers_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from hil.evidence.measure import Measure
    from hil.evidence.measurement import Measurement

__all__ = ["NumberRecorder"]

_PROPERTY = "hil_number:"
_TITLE = "broken limits"


class NumberRecorder:
    """The plugin, in the process that runs the tests.

    Args:
        plugins: Those of the run. The hooks around a test are there if a test asks for `measure`.

    Attributes:
        present: The numbers of the present attempt.
        in_body: Whether the body of a test runs.
        are_wanted: Whether a test asks for `measure`, or has asked for it while it ran.
    """

    def __init__(self, plugins: pytest.PytestPluginManager) -> None:
        self._plugins = plugins
        self.are_wanted = False
        self._is_late = False
        self._measured: dict[str, list[Measurement]] = {}
        self.present: list[Measurement] = []
        self._told = 0
        self._raised: list[Measurement] = []
        self.in_body = False

    def plan(self, items: Iterable[pytest.Item]) -> None:
        """Register the hooks if a test asks for `measure` by name, or may do so in the text of a doctest."""
        if any("measure" in getattr(one, "fixturenames", ()) or hasattr(one, "dtest") for one in items):
            self._want()

    def _want(self) -> None:
        if not self.are_wanted:
            self.are_wanted = True
            self._plugins.register(_NumberHooks(self), "hil-number-hooks")

    @cached_property
    def _measure(self) -> Measure:
        from hil.evidence.measure import Measure  # noqa: PLC0415 - only runs that measure pay

        return Measure()

    @property
    def measure(self) -> Measure:
        """The value of the fixture; a test may ask for it by `getfixturevalue` alone, while it runs."""
        if not self.are_wanted:
            self._want()
            self.begin(late=True)
        return self._measure

    def begin(self, *, late: bool = False) -> None:
        """Begin an attempt.

        Args:
            late: It has begun before: the hook around its body may not have been there.
        """
        self.present = self._measure.begin(late=late)
        self._is_late = late
        self._told = 0
        self._raised = []

    def end(self) -> None:
        """Refuse numbers until the next attempt begins."""
        self._measure.end()

    def revise(self, item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
        """Add the numbers to a report. A skip does not excuse a limit that was broken before it."""
        setattr(report, NUMBERS, [_as_tuple(one) for one in self.present])
        if report.when == "teardown":
            report.user_properties += [(f"{_PROPERTY}{one.name}", one.plain) for one in self.present]
        if report.passed and report.when == "call" and self._is_late and (late := self._take_broken()):
            report.outcome, report.longrepr = "failed", str(_error(late))
            vars(report).pop("wasxfail", None)
        if report.passed or self.in_body:  # a subtest: the test itself tells the limits
            return
        raised, self._raised = self._raised, []
        if call.excinfo is not None and isinstance(call.excinfo.value, BrokenLimitError):
            _leave_hidden_frames_out(report.longrepr)
            return
        broken = raised + self._take_broken()  # unittest puts its own error in the place of what was raised
        if broken and report.skipped and not hasattr(report, "wasxfail"):
            report.longrepr = f"{_error(broken)}\nThen the test was skipped: {skip_text(report)}"
            report.outcome = "failed"
            attempts_of(item).is_judged = False
            overrule_judgement(item, report)
        elif broken:
            report.sections.append((_TITLE, "\n".join(map(str, broken))))

    def add(self, report: pytest.TestReport) -> None:
        """Note the numbers of a test's last attempt, in the process that has the terminal."""
        if hasattr(report, NUMBERS):
            self._measured[report.nodeid] = numbers_of([report])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show all numbers with `-v`."""
        if self._measured and terminalreporter.config.get_verbosity() > 0:
            terminalreporter.write_sep("=", "hil: numbers")
            for nodeid, numbers in self._measured.items():
                for one in numbers:
                    terminalreporter.write_line(f"{nodeid}: {one}", red=one.is_broken)

    def _take_broken(self) -> list[Measurement]:
        """Return the numbers that break a limit and were not told yet."""
        new, self._told = self.present[self._told :], len(self.present)
        return [one for one in new if one.is_broken]

    def raise_broken(self) -> None:
        """Raise an error if the attempt has broken limits that were not told yet."""
        __tracebackhide__ = True
        if len(self.present) > self._told and (broken := self._take_broken()):
            self._raised = broken
            raise _error(broken)


class _NumberHooks:
    """Hooks around each test, in a run in which a test measures."""

    def __init__(self, recorder: NumberRecorder) -> None:
        self._recorder = recorder

    @pytest.hookimpl(wrapper=True)  # inside the time limit and the capture
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Fail a body that has passed, if a number of it or of the set-up breaks a limit."""
        self._recorder.in_body = True
        try:
            result = yield
        finally:
            self._recorder.in_body = False
        self._recorder.raise_broken()
        return result

    @pytest.hookimpl(wrapper=True)  # around the tear-down of fixtures that depend on the board
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """Fail a tear-down that breaks limits, and refuse numbers after it: they would not be judged."""
        try:
            result = yield
        finally:
            self._recorder.end()
        self._recorder.raise_broken()
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Forget the numbers after the test, and refuse others if its tear-down did not begin."""
        try:
            return (yield)
        finally:
            self._recorder.end()
            self._recorder.present = []


def _error(broken: list[Measurement]) -> BrokenLimitError:
    told = "; ".join(f"{one} ({one.where})" for one in broken)
    return BrokenLimitError(
        f"a limit is broken: {told}" if len(broken) == 1 else f"{len(broken)} limits are broken: {told}"
    )


def _leave_hidden_frames_out(longrepr: Any) -> None:  # noqa: ANN401 - pytest has five kinds
    """Drop pytest's hint that the traceback is hidden: the error has no line of the test."""
    if hasattr(longrepr, "reprtraceback"):
        longrepr.reprtraceback.extraline = None


def _as_tuple(one: Measurement) -> tuple[str, float, str, float | None, float | None]:
    return one.name, one.value, one.unit, one.below, one.above
