"""Made-up runs and nights for the tests of pages, with hostile text where that matters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hil.dutlink.console.transcript import Chunk, Event, Mark, MarkKind
from hil.dutlink.usb.request_log import SentRequest
from hil.evidence.console_file import ConsoleFile, ConsoleFolder
from hil.evidence.measurement import Measurement
from hil.evidence.records import (
    BoardHealth,
    RecordedAttempt,
    RecordedPhase,
    RecordedTest,
    RunRecord,
    file_stem,
)
from hil.evidence.run_folder import EvidenceFolder
from hil.evidence.used_board import UsedBoard
from hil.history.schema import AttemptOutcome
from hil.history.store import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

BEGAN_S = 1_800_000_000.0
DAY_S = 86_400.0
BOARD = "0df10035"
READ_FILES = (
    *("run.json", "tests/a.json", "a.raw", "run-a.raw", "run-a.jsonl", "a.jsonl", "a.json"),
    "2026-11-23T013000Z/night.json",
)
"""Files of a test `a` and a board `a` that are read from the folder of a run, or of nights."""

HOSTILE = (
    "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned=1'>\u202egnp.exe \x1b[31m"
)
HOSTILE_DUT = (
    b"\x1b]0;pwned\x07\x1b[2J</pre></script><script>window.pwned = 1</script>\r\n"
    b"<img src=x onerror=window.pwned=1>\r\n"
    + "\u202emoc.live//:ptth \u2066 hidden\u200b\r\n".encode()
    + b"\x00\xff\xfe\x9b31m\r\n"
)


def tried(  # noqa: PLR0913, PLR0917 - each has a default
    nodeid: str,
    outcome: AttemptOutcome,
    number: int = 1,
    board: UsedBoard | None = None,
    verdict: str = "",
    setup_s: float = 0.0,
    call_s: float = 0.0,
    teardown_s: float = 0.0,
    mean_watts: float | None = None,
    message: str = "",
    *,
    numbers: Iterable[Measurement] = (),
    column: str = "",
    partners: Iterable[UsedBoard] = (),
    image: str = "",
) -> RecordedTest:
    """An attempt as the history holds it."""
    took_s = {"setup": setup_s, "call": call_s, "teardown": teardown_s}
    attempt = RecordedAttempt(
        number,
        outcome.name.lower(),
        verdict,
        message,
        phases=[RecordedPhase(name, duration_s=seconds) for name, seconds in took_s.items()],
        numbers=list(numbers),
        mean_watts=mean_watts,
    )
    return RecordedTest(
        nodeid, board=board, partners=list(partners), attempts=[attempt], column=column, image=image
    )


def attempt(outcome: str = "passed", message: str = "", number: int = 1) -> RecordedAttempt:
    phases = [RecordedPhase("setup", BEGAN_S, 0.5), RecordedPhase("call", BEGAN_S + 0.5, 2.0)]
    return RecordedAttempt(number, outcome, "", message, f"long {message}" if message else "", [], phases)


def a_test(nodeid: str, *attempts: RecordedAttempt, board: str = BOARD, run: str = "k1") -> RecordedTest:
    return RecordedTest(
        nodeid,
        run=run,
        kind="hardware",
        worker="gw0",
        stem=file_stem(nodeid),
        began_s=BEGAN_S,
        began_monotonic_s=100.0,
        ended_s=BEGAN_S + 3.0,
        wait_s=0.25,
        board=UsedBoard(board, "0.09", "bench 3", simulated=True) if board else None,
        attempts=list(attempts) or [attempt()],
        requests=[SentRequest(101.0, BEGAN_S + 1.0, "power", "on", "ok", 0.001)] if board else [],
    )


def keep_run(
    folder: Path, *tests: RecordedTest, key: str = "k1", ended_s: float | None = BEGAN_S + 9
) -> Path:
    evidence = EvidenceFolder(folder)
    board = BoardHealth(BOARD, "0.09", simulated=True, state="safe", events=["made safe by guard"])
    evidence.write_run(
        RunRecord(key, BEGAN_S, "lab", ended_s=ended_s, exit_status=1, boards=[board], command="pytest")
    )
    for one in tests:
        evidence.write_test(one)
    return folder


def keep_console(
    folder: Path, nodeid: str, data: bytes, marks: Sequence[tuple[float, str]] = (), before: bytes = b""
) -> None:
    """As a run keeps it: chunks of 16 bytes, one each 10 ms."""
    size = max(16, len(data) // 200)
    events: list[Event] = [
        Chunk(100.25 + 0.01 * number, BEGAN_S, data[at : at + size])
        for number, at in enumerate(range(0, len(data), size))
    ]
    events += [Mark(at_s, BEGAN_S, text) for at_s, text in marks]
    file = ConsoleFile(ConsoleFolder(folder / "console", "k1"), BOARD)
    file.add(Chunk(100.0, BEGAN_S, before))
    file.add(Mark(100.25, BEGAN_S, nodeid, 0, MarkKind.TEST_BEGINS))
    for event in sorted(events, key=lambda event: event.monotonic_s):
        file.add(event)
    file.add(Mark(103.0, BEGAN_S, nodeid, 0, MarkKind.TEST_ENDS))
    file.close()


def keep_power(folder: Path, nodeid: str, attempt: str = "") -> None:
    (folder / "power").mkdir(parents=True, exist_ok=True)
    samples = [
        {"monotonic_s": 100.3 + 0.1 * n, "time_s": BEGAN_S, "volts": 5.0, "amps": 0.1 * n, "watts": 0.5 * n}
        for n in range(25)
    ]
    data = {"samples": samples, "gaps": [], "began_s": 100.25, "ended_s": 102.9, "delay_s": 0.0}
    stem = f"{file_stem(nodeid)}{attempt}"
    (folder / "power" / f"{stem}.json").write_text(json.dumps(data))


def keep_nights(path: Path, tests: list[str], nights: int = 12, *, failing_since: int = 9) -> None:
    """The first test begins to fail, the second is flaky, the third skips; the others pass."""
    with History(path) as history:
        for number in range(nights):
            began_s = BEGAN_S + number * DAY_S
            run = RunRecord(f"n{number}", began_s, "lab", "nightly", f"{number // failing_since:040x}")
            history.begin_run(run)
            history.add(run.key, list(_night(tests, number, failing_since)))
            history.end_run(RunRecord(run.key, began_s, ended_s=began_s + 60, exit_status=1))


def _night(tests: list[str], number: int, failing_since: int) -> list[RecordedTest]:
    attempts = []
    for place, test in enumerate(tests):
        bench = UsedBoard(f"0df1003{(place + number) % 4}", "0.09")
        if place == 0 and number >= failing_since:
            attempts.append(
                tried(test, AttemptOutcome.FAILED, board=bench, call_s=1.0, message=f"no {HOSTILE}")
            )
        elif place == 1 and number % 4 == 1:
            attempts.append(tried(test, AttemptOutcome.FAILED, board=bench, call_s=1.0))
            attempts.append(tried(test, AttemptOutcome.PASSED, 2, board=bench, call_s=1.0))
        else:
            outcome = AttemptOutcome.SKIPPED if place == 2 else AttemptOutcome.PASSED
            attempts.append(tried(test, outcome, board=bench, call_s=1.0))
    return attempts


_TWO = [UsedBoard(f"0df1003{number}", "0.09", f"place-{number}") for number in range(2)]


def keep_numbers(path: Path, *, extra: int = 0) -> None:
    """Thirty nights: `boot` steps at the commit of the twentieth, with a lower limit; `idle` is calm."""
    with History(path) as history:
        for night in range(30):
            commit = ("b" if night >= 20 else "a") * 40
            run = RunRecord(f"n{night}", BEGAN_S + night * DAY_S, "lab", "nightly", commit)
            history.begin_run(run)
            history.add(run.key, [one for board in _TWO for one in _measured(night, board, extra)])
            history.close_run(run.key, run.began_s + 60, 0)


def _measured(night: int, board: UsedBoard, extra: int) -> list[RecordedTest]:
    boot = 12.0 + night % 3 / 10 + 4 * (night >= 20)
    more = tuple(Measurement(f"more {at:03}", float(night % 2), "") for at in range(extra))
    facts = {
        "t.py::test_boot": (Measurement("boot", boot, "s", 16.0 if night >= 20 else 18.0),),
        "t.py::test_idle": (Measurement(f"idle {HOSTILE[:40]}", 2.0 + night % 2 / 100, "W"), *more),
    }
    return [
        tried(f"{test}[{board.name}]", AttemptOutcome.PASSED, 1, board, numbers=numbers, column=board.name)
        for test, numbers in facts.items()
    ]
