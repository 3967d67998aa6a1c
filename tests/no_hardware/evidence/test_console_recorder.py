"""The files of a console, and the test that each byte belongs to."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.dutlink.console.console import Console
from hil.dutlink.console.transcript import Chunk, MarkKind, Transcript
from hil.dutlink.console.tty import Tty
from hil.evidence import console_recorder
from hil.evidence.console_file import ConsoleFolder
from hil.evidence.console_recorder import ConsoleRecorder, TranscriptFollower
from hil.evidence.console_slices import RunConsoles
from hil.evidence.records import file_stem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.console.transcript import Event
    from hil.evidence.console_slices import ConsoleSlice


def a_console(tmp_path: Path) -> Console:
    nowhere = Tty(tmp_path / "none")
    return Console("5a1c0e01", lambda: nowhere, nowhere)


@contextmanager
def recorded(tmp_path: Path, run: str = "") -> Iterator[tuple[Console, ConsoleRecorder]]:
    console = a_console(tmp_path)
    recorder = ConsoleRecorder(console, "5a1c0e01", ConsoleFolder(tmp_path / "console", run))
    yield console, recorder
    recorder.close()


def kept(tmp_path: Path, test: str) -> ConsoleSlice:
    console = RunConsoles(tmp_path / "console", "").slice(file_stem(test))
    assert console is not None
    return console


def data_of(console: ConsoleSlice) -> list[tuple[bytes, bool]]:
    """Return the bytes of each part, and whether they are a neighbour's."""
    return [(data, is_neighbour) for _, data, is_neighbour in console.read(0, console.size_bytes)]


def test_console_recorder_splits_output_by_test(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        console.transcript.append(b"before any\n")
        recorder.begin_test("one")
        console.transcript.append(b"of one\n")
        recorder.end_test("one")
        console.transcript.append(b"between\n")
        recorder.begin_test("two")
        console.transcript.append(b"of two\n")
        recorder.end_test("two")

    assert data_of(kept(tmp_path, "one")) == [(b"before any\n", True), (b"of one\n", False)]
    assert data_of(kept(tmp_path, "two")) == [(b"between\n", True), (b"of two\n", False)]


def test_console_recorder_writes_each_byte_once(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("one")
        console.transcript.append(b"x" * 100_000)
        recorder.end_test("one")

    taken = {path.name: path.stat().st_size for path in (tmp_path / "console").iterdir()}
    assert taken.pop("run-5a1c0e01.raw") == 100_000
    assert taken.keys() == {"run-5a1c0e01.jsonl"}
    assert sum(taken.values()) < 500


def test_console_slice_has_the_time_of_every_byte_and_the_marks(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        console.transcript.append(b"before\n")
        recorder.begin_test("one")
        for piece in (b"a", b"bc", b"def"):
            console.transcript.append(piece)
        console.transcript.mark("power on")
        recorder.end_test("one")
        came_s = [chunk.monotonic_s for chunk in console.transcript.chunks]

    one = kept(tmp_path, "one")
    assert [offset for _, offset in one.times] == [0, 7, 8, 10]
    assert [one.at_s(offset) for offset in (0, 6, 7, 8, 9, 12)] == [
        pytest.approx(came_s[at], abs=1e-5) for at in (0, 0, 1, 2, 2, 3)
    ]
    assert [(mark.position, str(mark)) for mark in one.marks] == [
        (7, "test begins: one"),
        (13, "power on"),
        (13, "test ends: one"),
    ]


def test_console_slice_yields_the_events_that_came(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        console.transcript.append(b"before\n")
        recorder.begin_test("one")
        console.transcript.append(b"of ")
        console.transcript.mark("power on")
        console.transcript.append(b"one\n")
        recorder.end_test("one")

    told = [
        (event.data if isinstance(event, Chunk) else str(event), is_neighbour)
        for event, is_neighbour in kept(tmp_path, "one").events()
    ]
    assert told == [
        (b"before\n", True),
        ("test begins: one", False),
        (b"of ", False),
        ("power on", False),
        (b"one\n", False),
        ("test ends: one", False),
    ]


def test_console_slice_of_a_rerun_has_all_attempts(tmp_path: Path) -> None:
    for attempt, words in enumerate((b"first\n", b"second\n")):
        with recorded(tmp_path) as (console, recorder):
            console.transcript.append(b"before\n")
            recorder.begin_test("one", again=attempt > 0)
            console.transcript.append(words)
            recorder.end_test("one")

    one = kept(tmp_path, "one")
    assert [data for data, _ in data_of(one)] == [b"before\n", b"first\n", b"before\n", b"second\n"]
    assert [is_neighbour for _, is_neighbour in data_of(one)] == [True, False, True, False]
    assert [offset for _, offset in one.times] == [0, 7, 13, 20]
    assert [str(mark) for mark in one.marks][1:3] == ["test ends: one", "test begins again: one"]


def test_console_slice_of_attempts_on_two_boards_is_in_the_order_of_time(tmp_path: Path) -> None:
    for board, words in (("b", b"first"), ("a", b"second")):
        console = a_console(tmp_path)
        recorder = ConsoleRecorder(console, board, ConsoleFolder(tmp_path / "console"))
        recorder.begin_test("one")
        console.transcript.append(words)
        recorder.end_test("one")
        recorder.close()

    assert data_of(kept(tmp_path, "one")) == [(b"first", False), (b"second", False)]


def test_console_slice_of_a_killed_test_ends_where_the_next_holder_begins(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("killed")
        console.transcript.append(b"last words")
        recorder.sync()

        with recorded(tmp_path) as (later, other):
            later.transcript.append(b"of the next holder\n")
            other.begin_test("two")
            other.end_test("two")

        assert data_of(kept(tmp_path, "killed")) == [(b"last words", False)]
        assert data_of(kept(tmp_path, "two")) == [(b"of the next holder\n", True)]


def test_console_slice_has_bytes_whose_line_a_kill_has_cut(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("one")
        console.transcript.append(b"first\n")
        console.transcript.append(b"second\n")
        recorder.sync()
    index = tmp_path / "console" / "run-5a1c0e01.jsonl"
    index.write_bytes(index.read_bytes()[:-9])

    one = kept(tmp_path, "one")
    assert data_of(one) == [(b"first\nsecond\n", False)]
    assert one.at_s(8) == one.at_s(0) is not None


def test_run_consoles_leave_out_files_of_another_run(tmp_path: Path) -> None:
    for run, board in (("one", "a"), ("two", "b")):
        console = a_console(tmp_path)
        recorder = ConsoleRecorder(console, board, ConsoleFolder(tmp_path, run))
        recorder.begin_test("test")
        console.transcript.append(run.encode())
        recorder.end_test("test")
        recorder.close()

    found = RunConsoles(tmp_path, "two").slice(file_stem("test"))
    assert found is not None
    assert data_of(found) == [(b"two", False)]


def test_console_file_is_appended_by_a_second_holder(tmp_path: Path) -> None:
    for words in (b"first\n", b"second\n"):
        with recorded(tmp_path) as (console, recorder):
            console.transcript.append(words)
            recorder.begin_test("one")
            recorder.end_test("one")

    assert (tmp_path / "console" / "run-5a1c0e01.raw").read_bytes() == b"first\nsecond\n"
    assert data_of(kept(tmp_path, "one")) == [(b"first\n", True), (b"second\n", True)]


def test_console_file_overwrites_that_of_an_earlier_run(tmp_path: Path) -> None:
    for run in ("one", "two"):
        console = a_console(tmp_path)
        recorder = ConsoleRecorder(console, "5a1c0e01", ConsoleFolder(tmp_path, run))
        console.transcript.append(run.encode())
        recorder.close()

    assert (tmp_path / "run-5a1c0e01.raw").read_bytes() == b"two"


def test_console_recorder_keeps_earlier_output(tmp_path: Path) -> None:
    console = a_console(tmp_path)
    console.transcript.append(b"early\n")
    recorder = ConsoleRecorder(console, "5a1c0e01", ConsoleFolder(tmp_path / "console"))
    recorder.close()

    assert (tmp_path / "console" / "run-5a1c0e01.raw").read_bytes() == b"early\n"


def test_console_recorder_completes_files_when_the_console_closes(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, _):
        console.transcript.append(b"last words")

        console.close()

        assert (tmp_path / "console" / "run-5a1c0e01.raw").read_bytes() == b"last words"


def test_console_recorder_killed_leaves_the_output(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("one")
        console.transcript.append(b"last words")
        recorder.sync()

        assert data_of(kept(tmp_path, "one")) == [(b"last words", False)]


def test_console_recorder_scans_on_after_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "console").write_text("a file, not a folder")
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("one")
        console.transcript.append(b"Kernel panic\n")
        recorder.end_test("one")

        assert isinstance(recorder.error, OSError)
        assert [finding.name for finding in recorder.scanner.findings] == ["kernel panic"]


def test_console_index_keeps_no_hostile_text(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("one\x1b[31m\u202e")
        console.transcript.append(b"\x1b]0;evil\x07\x1b[2J\0\xff" + "\u202e".encode())
        recorder.end_test("one\x1b[31m\u202e")

    index = (tmp_path / "console" / "run-5a1c0e01.jsonl").read_text()
    assert re.findall("[^\n -~]", index) == []


RUNS = count()
PIECES = st.lists(st.lists(st.binary(min_size=1, max_size=30), max_size=5), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(PIECES)
def test_console_recorder_puts_every_byte_into_one_test(tmp_path: Path, tests: list[list[bytes]]) -> None:
    with recorded(tmp_path, str(next(RUNS))) as (console, recorder):
        for number, pieces in enumerate(tests):
            recorder.begin_test(str(number))
            for piece in pieces:
                console.transcript.append(piece)
            recorder.end_test(str(number))
    for number, pieces in enumerate(tests):
        said = b"".join(pieces)
        assert data_of(kept(tmp_path, str(number))) == ([(said, False)] if said else [])


class Slow:
    """A handler that hangs until it is let go."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.go = threading.Event()
        self.began = threading.Event()

    def handle(self, event: Event) -> None:
        self.began.set()
        self.go.wait(30)
        self.events.append(event)

    def end_batch(self) -> None: ...


def test_transcript_follower_drops_bytes_if_the_handler_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console_recorder, "_QUEUED_BYTES", 2000)  # with 256 of each event's own
    transcript, slow = Transcript(), Slow()
    follower = TranscriptFollower(transcript, slow, "slow")
    for _ in range(10):
        transcript.append(b"x" * 400)
    slow.go.set()
    follower.sync()
    transcript.append(b"again")
    follower.close()

    said = [str(event.data[:5]) if hasattr(event, "data") else event.text for event in slow.events]
    assert said[3] == "2800 bytes are missing here: they came faster than they could be kept"
    assert said[-1] == "b'again'"


def test_mark_kinds_keep_the_names_that_files_have() -> None:
    assert {"note", "test_begins", "test_again", "test_ends"} <= {kind.name.lower() for kind in MarkKind}
