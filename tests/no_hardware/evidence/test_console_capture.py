"""The errors and the last lines of one test's console."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.console.allowlist import compile_error_patterns
from hil.dutlink.console.console import Console
from hil.dutlink.console.tty import Tty
from hil.evidence.console_capture import ConsoleCapture
from hil.evidence.console_recorder import ConsoleRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PANIC = b"Kernel panic - not syncing\n"


@pytest.fixture
def board(tmp_path: Path) -> Any:
    nowhere = Tty(tmp_path / "none")
    return SimpleNamespace(serial="5a1c0e01", console=Console("5a1c0e01", lambda: nowhere, nowhere))


@pytest.fixture
def recorder(board: Any) -> Iterator[ConsoleRecorder]:
    recorder = ConsoleRecorder(board.console, board.serial)
    yield recorder
    recorder.close()


def test_take_errors_gives_errors_of_the_present_test(board: Any, recorder: ConsoleRecorder) -> None:
    one = ConsoleCapture(recorder, board, "one")
    board.console.transcript.append(PANIC)
    found = one.take_errors()
    one.end()
    two = ConsoleCapture(recorder, board, "two", one)

    assert [finding.name for finding in found] == ["kernel panic"]
    assert (one.take_errors(), two.take_errors(), two.strays) == ([], [], [])


def test_strays_are_errors_between_two_tests(board: Any, recorder: ConsoleRecorder) -> None:
    one = ConsoleCapture(recorder, board, "one")
    one.end()
    board.console.transcript.append(PANIC)
    two = ConsoleCapture(recorder, board, "two", one)

    assert [finding.name for finding in two.strays] == ["kernel panic"]
    assert two.take_errors() == []


def test_strays_exclude_errors_before_the_first_test(board: Any, recorder: ConsoleRecorder) -> None:
    board.console.transcript.append(PANIC)
    one = ConsoleCapture(recorder, board, "one")

    assert (one.strays, one.take_errors()) == ([], [])


def test_take_errors_excludes_a_line_begun_before_the_test(board: Any, recorder: ConsoleRecorder) -> None:
    board.console.transcript.append(b"# Kernel pa")
    one = ConsoleCapture(recorder, board, "one")
    board.console.transcript.append(b"nic\n# Kernel panic\n")

    assert [finding.line for finding in one.take_errors()] == ["# Kernel panic"]


def test_take_errors_excludes_expected_errors(board: Any, recorder: ConsoleRecorder) -> None:
    one = ConsoleCapture(recorder, board, "one")
    board.console.transcript.append(PANIC + b"Oops: 0000 [#1]\n")

    assert [finding.name for finding in one.take_errors([compile_error_patterns(("panic",), "a test")])] == [
        "oops"
    ]


def test_newest_lines_show_the_test_with_marks(board: Any, recorder: ConsoleRecorder) -> None:
    board.console.transcript.append(b"before\n")
    one = ConsoleCapture(recorder, board, "one")
    board.console.transcript.append(b"first\nsecond\n" + b"x" * 200_000 + b"\n")
    board.console.transcript.mark("power force-off")
    board.console.transcript.append(b"last")

    shown = one.newest_lines(2)

    assert [line.split(None, 1)[-1] for line in shown] == ["* power force-off", "| last"]
    assert "before" not in "".join(one.newest_lines(100))
    assert max(map(len, one.newest_lines(100))) < 300


def test_write_text_works_after_the_test(board: Any, recorder: ConsoleRecorder, tmp_path: Path) -> None:
    one = ConsoleCapture(recorder, board, "one")
    one.end()
    board.console.transcript.append(b"between\n")
    two = ConsoleCapture(recorder, board, "two", one)
    board.console.transcript.append(b"of two \xff\n")
    two.end()
    board.console.transcript.append(b"later\n")

    two.write_text(tmp_path, with_bytes=True)

    text = two.path_in(tmp_path).read_text()
    assert [line.split(None, 3)[-1] for line in text.splitlines()[2:]] == [
        "< between",
        "* test begins: two",
        r"| of two \xff",
        "* test ends: two",
    ]
    assert two.path_in(tmp_path).with_suffix(".raw").read_bytes() == b"between\nof two \xff\n"


def test_write_text_keeps_earlier_attempts_and_no_earlier_run(
    board: Any, recorder: ConsoleRecorder, tmp_path: Path
) -> None:
    for attempt in ("of an earlier run", "first", "second"):
        one = ConsoleCapture(recorder, board, "one", again=attempt == "second")
        board.console.transcript.append(f"{attempt}\n".encode())
        one.end()
        one.write_text(tmp_path)

    text = one.path_in(tmp_path).read_text()
    assert re.findall(r"\d \| (.*)", text) == ["first", "second"]


def test_write_text_of_a_flood_has_its_newest_part_and_says_so(
    board: Any, recorder: ConsoleRecorder, tmp_path: Path
) -> None:
    one = ConsoleCapture(recorder, board, "one")
    for _ in range(20):
        board.console.transcript.append(b"x" * (1 << 20))
    one.end()
    one.write_text(tmp_path)

    text = one.path_in(tmp_path).read_text()
    left_out = re.search(r"\* (\d+) bytes are left out here: this file has only the newest output", text)
    assert left_out is not None
    assert (20 << 20) - int(left_out[1]) == text.partition("newest output")[2].count("x") < 17 << 20
