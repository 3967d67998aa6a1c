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
    judgement = judge(error, kind=kind, phase=phase, proven=None, prove=lambda: found)
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
def test_what_missing_hardware_could_explain_is_a_signal(error: BaseException) -> None:
    assert may_be_hardware_error(error)


@pytest.mark.parametrize("error", NO_SIGNALS, ids=name_of)
def test_what_it_could_not_explain_is_none(error: BaseException) -> None:
    assert not may_be_hardware_error(error)


@pytest.mark.parametrize("error", NO_SIGNALS, ids=name_of)
def test_without_a_signal_nobody_looks(error: BaseException) -> None:
    assert judge(error, kind=Kind.HARDWARE, phase="call", proven=None, prove=unreachable) is None


@pytest.mark.parametrize("error", SIGNALS, ids=name_of)
def test_a_signal_with_proof_is_judged(error: BaseException) -> None:
    assert judged(error, ABSENT) is Verdict.ABSENT


@pytest.mark.parametrize("error", SIGNALS, ids=name_of)
def test_a_signal_without_proof_is_the_test_s_own_error(error: BaseException) -> None:
    assert judged(error, PRESENT) is None


@pytest.mark.parametrize(
    "first",
    [AssertionError("x"), KeyError("x"), pytest.fail.Exception("x"), KeyboardInterrupt()],
    ids=name_of,
)
def test_signal_that_replaced_another_error_is_not_judged(first: BaseException) -> None:
    last = after(first, BoardLostError("gone"), FileNotFoundError("x"))

    assert judge(last, kind=Kind.HARDWARE, phase="call", proven=last, prove=unreachable) is None


def test_signal_in_a_group_that_replaced_another_error_is_not_judged() -> None:
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
def test_signal_that_replaced_no_failure_is_judged(error: BaseException) -> None:
    assert explains_all(error)


def test_chain_that_returns_to_itself_ends() -> None:
    first, second = after(BoardLostError("x")), after(AssertionError("y"))
    first.__cause__, second.__context__ = second, first

    assert not explains_all(first)


def test_a_mixed_test_keeps_its_own_error() -> None:
    assert judged(FileNotFoundError("x"), LOST, kind=Kind.MIXED) is None


@pytest.mark.parametrize(("found", "verdict"), [(ABSENT, None), (LOST, Verdict.LOST)])
def test_in_teardown_only_a_lost_board_explains_an_error(found: ProbeResult, verdict: Verdict | None) -> None:
    assert judged(FileNotFoundError("x"), found, phase="teardown") is verdict


def test_what_was_proven_when_the_board_was_looked_for_needs_no_second_look() -> None:
    error = BoardAbsentError("no board")

    judgement = judge(error, kind=Kind.HARDWARE, phase="setup", proven=error, prove=unreachable)

    assert judgement == Judgement(Verdict.ABSENT, "no board", "")


def test_a_reason_begins_with_its_headline_and_ends_with_the_remedy() -> None:
    judgement = Judgement.of(ABSENT.verdict, ABSENT.error)

    assert judgement.reason == "DUTLink not available: no board: none is there. Try: plug it in"


def test_a_reason_is_one_line() -> None:
    judgement = Judgement.of(Verdict.DENIED, HilError("two\nlines", remedy="put\n  this\n  there"))

    assert "\n" not in judgement.reason


def test_a_finding_without_an_error_is_its_headline() -> None:
    assert Judgement.of(Verdict.BUSY, None).reason == "DUTLink busy"


def test_every_verdict_of_a_board_that_does_not_answer_has_a_headline() -> None:
    assert set(REASONS) == set(Verdict) - {Verdict.PRESENT, Verdict.FAULTY}


def test_faulty_board_leaves_the_error_of_the_test_as_it_is() -> None:
    found = ProbeResult(Verdict.FAULTY, error=RequestStalledError("it refused"))

    assert judged(BoardLostError("x"), found) is None


@pytest.mark.parametrize("failure", [SimulatorError("gone"), RuntimeError("a backend's own mistake")])
def test_a_look_that_fails_proves_nothing(failure: Exception) -> None:
    def look() -> ProbeResult:
        raise failure

    error = BoardLostError("gone")
    assert judge(error, kind=Kind.HARDWARE, phase="call", proven=None, prove=look) is None
