"""What is a signal, what is proof, and what becomes of both."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import usb.core

from hil.dutlink.discovery import ProbeResult
from hil.errors import (
    BoardAbsentError,
    BoardFaultError,
    BoardLostError,
    ConsoleBusyError,
    ConsoleLostError,
    ExpectError,
    HilError,
    RequestStalledError,
    SettingError,
    SimulatorError,
    StickMissingError,
    UsbBlockedError,
    Verdict,
)
from hil.suite.markers import Kind
from hil.suite.outcome.verdicts import REASONS, Judgement, explains_all, judge, may_be_hardware_error

if TYPE_CHECKING:
    from collections.abc import Callable

ABSENT = ProbeResult(
    Verdict.ABSENT, error=BoardAbsentError("no board", why="none is there", remedy="plug it in")
)
LOST = ProbeResult(Verdict.LOST, error=BoardLostError("gone"))
PRESENT = ProbeResult(Verdict.PRESENT)
SIGNALS = [
    FileNotFoundError("dutlink not available"),
    FileNotFoundError(2, "No such file"),
    OSError(5, "Input/output error"),
    usb.core.USBError("x", -1, 5),
    usb.core.USBTimeoutError("x", -7, 110),
    usb.core.NoBackendError("x"),
    BoardAbsentError("x"),
    BoardFaultError("x"),
    ConsoleLostError("x"),
    ConsoleBusyError("x"),
    ExceptionGroup("errors in teardown", [FileNotFoundError("x"), BoardLostError("x")]),
]
NO_SIGNALS = [
    AssertionError("x"),
    ValueError("no langid"),
    PermissionError(13, "x"),
    ConnectionResetError(104, "x"),
    SettingError("x"),
    ExpectError("x"),
    StickMissingError("x"),
    SimulatorError("x"),
    UsbBlockedError("x"),
    KeyboardInterrupt(),
    ExceptionGroup("errors in teardown", [FileNotFoundError("x"), AssertionError("x")]),
]


def name_of(error: BaseException) -> str:
    return f"{type(error).__name__}-{len(error.args)}"


def judged(
    error: BaseException, found: ProbeResult, kind: Kind = Kind.HARDWARE, phase: str = "call"
) -> Verdict | None:
    judgement = judge(error, kind=kind, phase=phase, why_no_board=None, probe=lambda: found)
    return judgement.verdict if judgement else None


def caught(leave: Callable[[], object]) -> BaseException:
    """Return what a call raises."""
    with pytest.raises(BaseException) as info:  # noqa: PT011 - any
        leave()
    return info.value


def after(*errors: BaseException) -> BaseException:
    """Raise each error in a `finally` of the one before; return the last."""

    def leave(left: tuple[BaseException, ...]) -> None:
        try:
            raise left[0]
        finally:
            if left[1:]:
                leave(left[1:])

    return caught(lambda: leave(errors))


def fail_to_transfer() -> None:
    raise usb.core.USBError("x", -4, 19)


def translate_usb_error() -> None:
    try:
        fail_to_transfer()
    except usb.core.USBError as error:
        raise BoardLostError("gone") from error


def replace_error_of_library() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        raise BoardLostError("gone") from None


def unreachable() -> ProbeResult:
    raise AssertionError


@pytest.mark.parametrize("error", SIGNALS, ids=name_of)
def test_may_be_hardware_error_is_true_for_errors_of_missing_hardware(error: BaseException) -> None:
    assert may_be_hardware_error(error)


@pytest.mark.parametrize("error", NO_SIGNALS, ids=name_of)
def test_may_be_hardware_error_is_false_for_other_errors(error: BaseException) -> None:
    assert not may_be_hardware_error(error)


@pytest.mark.parametrize("error", NO_SIGNALS, ids=name_of)
def test_judge_does_not_probe_for_other_errors(error: BaseException) -> None:
    assert judge(error, kind=Kind.HARDWARE, phase="call", why_no_board=None, probe=unreachable) is None


@pytest.mark.parametrize("error", SIGNALS, ids=name_of)
def test_judge_accepts_a_hardware_error_with_proof(error: BaseException) -> None:
    assert judged(error, ABSENT) is Verdict.ABSENT


@pytest.mark.parametrize("error", SIGNALS, ids=name_of)
def test_judge_leaves_a_hardware_error_without_proof(error: BaseException) -> None:
    assert judged(error, PRESENT) is None


@pytest.mark.parametrize(
    "first",
    [AssertionError("x"), KeyError("x"), pytest.fail.Exception("x"), KeyboardInterrupt()],
    ids=name_of,
)
def test_judge_leaves_a_hardware_error_that_replaced_another_error(first: BaseException) -> None:
    last = after(first, BoardLostError("gone"), FileNotFoundError("x"))

    assert judge(last, kind=Kind.HARDWARE, phase="call", why_no_board=last, probe=unreachable) is None


def test_judge_leaves_a_hardware_error_in_a_group_that_replaced_another_error() -> None:
    parts = [BoardLostError("x"), after(AssertionError("x"), BoardLostError("y"))]

    assert judged(BaseExceptionGroup("x", parts), LOST) is None


@pytest.mark.parametrize(
    "error",
    [
        after(FileNotFoundError("x"), BoardLostError("x")),
        after(pytest.skip.Exception("x"), BoardLostError("x")),
        after(asyncio.CancelledError(), BoardLostError("x")),
        caught(translate_usb_error),
        caught(replace_error_of_library),
    ],
    ids=["signals", "skip", "cancelled", "translated", "library"],
)
def test_judge_accepts_a_hardware_error_that_replaced_no_failure(error: BaseException) -> None:
    assert explains_all(error)


def test_raised_by_tests_ends_for_a_circular_chain() -> None:
    first, second = after(BoardLostError("x")), after(AssertionError("y"))
    first.__cause__, second.__context__ = second, first

    assert not explains_all(first)


def test_judge_leaves_the_error_of_a_mixed_test() -> None:
    assert judged(FileNotFoundError("x"), LOST, kind=Kind.MIXED) is None


@pytest.mark.parametrize(("found", "verdict"), [(ABSENT, None), (LOST, Verdict.LOST)])
def test_judge_accepts_only_a_lost_board_in_a_teardown(found: ProbeResult, verdict: Verdict | None) -> None:
    assert judged(FileNotFoundError("x"), found, phase="teardown") is verdict


def test_judge_needs_no_second_proof_of_a_failed_acquisition() -> None:
    error = BoardAbsentError("no board")

    judgement = judge(error, kind=Kind.HARDWARE, phase="setup", why_no_board=error, probe=unreachable)

    assert judgement == Judgement(Verdict.ABSENT, "no board", "")


def test_reason_begins_with_its_headline_and_ends_with_the_remedy() -> None:
    judgement = Judgement.of(ABSENT.verdict, ABSENT.error)

    assert judgement.reason == "DUTLink not available: no board: none is there. Try: plug it in"


def test_reason_is_one_line() -> None:
    judgement = Judgement.of(Verdict.DENIED, HilError("two\nlines", remedy="put\n  this\n  there"))

    assert "\n" not in judgement.reason


def test_reason_without_an_error_is_its_headline() -> None:
    assert Judgement.of(Verdict.BUSY, None).reason == "DUTLink busy"


def test_every_verdict_of_a_board_that_does_not_answer_has_a_headline() -> None:
    assert set(REASONS) == set(Verdict) - {Verdict.PRESENT, Verdict.FAULTY}


def test_judge_leaves_an_error_on_a_faulty_board() -> None:
    found = ProbeResult(Verdict.FAULTY, error=RequestStalledError("it refused"))

    assert judged(BoardLostError("x"), found) is None


@pytest.mark.parametrize("failure", [SimulatorError("gone"), RuntimeError("a backend's own mistake")])
def test_judge_takes_no_failed_probe_for_proof(failure: Exception) -> None:
    def look() -> ProbeResult:
        raise failure

    error = BoardLostError("gone")
    assert judge(error, kind=Kind.HARDWARE, phase="call", why_no_board=None, probe=look) is None
