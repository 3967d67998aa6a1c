from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.script import Script
from hil.sim.dut.uart import DutTransmitter
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from hil.sim.dut.script import Steps


class Stage:
    """Where a script is played: what it printed, and what it ended with."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.printed = b""
        self.results: list[str] = []
        self.uart = DutTransmitter(self.clock, self._leave)

    def script(self, steps: Steps[str]) -> Script[str]:
        return Script(self.clock, self.uart, steps, self.results.append)

    def _leave(self, data: bytes) -> None:
        self.printed += data


@pytest.fixture
def stage() -> Stage:
    return Stage()


def _speak(closed: list[str]) -> Steps[str]:
    try:
        yield "one "
        yield 1.0
        yield "two"
    finally:
        closed.append("closed")
    return "said"


def test_script_does_nothing_before_its_start(stage: Stage) -> None:
    stage.script(_speak([]))

    stage.clock.advance(5.0)

    assert stage.printed == b""


def test_script_prints_and_waits_in_order(stage: Stage) -> None:
    stage.script(_speak([])).start()

    stage.clock.advance(0.9)
    early = stage.printed
    stage.clock.advance(0.2)

    assert (early, stage.printed) == (b"one ", b"one two")


def test_script_ends_with_its_result(stage: Stage) -> None:
    stage.script(_speak([])).start()

    stage.clock.advance(5.0)

    assert stage.results == ["said"]


def test_script_cancelled_during_a_wait_stops(stage: Stage) -> None:
    closed: list[str] = []
    script = stage.script(_speak(closed))
    script.start()
    stage.clock.advance(0.5)

    script.cancel()
    stage.clock.advance(5.0)

    assert (stage.printed, stage.results, closed) == (b"one ", [], ["closed"])


def test_script_cancelled_during_output_stops(stage: Stage) -> None:
    script = stage.script(_speak([]))
    script.start()

    script.cancel()
    stage.clock.advance(5.0)

    assert (stage.printed, stage.results) == (b"one ", [])


def test_script_may_be_cancelled_by_its_own_step(stage: Stage) -> None:
    closed: list[str] = []

    def give_up() -> Steps[str]:
        try:
            script.cancel()
            yield "too late"
        finally:
            closed.append("closed")
        return "never"

    script = stage.script(give_up())
    script.start()
    stage.clock.advance(5.0)

    assert (stage.printed, stage.results, closed) == (b"", [], ["closed"])
