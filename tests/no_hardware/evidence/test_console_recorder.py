"""The files of a console, and the test that each byte belongs to."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.dutlink.console.console import Console
from hil.dutlink.console.transcript import MarkKind, Transcript
from hil.dutlink.console.tty import Tty
from hil.evidence import console_recorder
from hil.evidence.console_recorder import ConsoleFolder, ConsoleRecorder, TranscriptFollower
from hil.evidence.records import file_stem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from hil.dutlink.console.transcript import Event


def a_console(tmp_path: Path) -> Console:
    nowhere = Tty(tmp_path / "none")
    return Console("5a1c0e01", lambda: nowhere, nowhere)


@contextmanager
def recorded(tmp_path: Path) -> Iterator[tuple[Console, ConsoleRecorder]]:
    console = a_console(tmp_path)
    recorder = ConsoleRecorder(console, "5a1c0e01", ConsoleFolder(tmp_path / "console"))
    yield console, recorder
    recorder.close()


def kept(tmp_path: Path, test: str) -> tuple[bytes, str, dict[str, Any]]:
    stem = tmp_path / "console" / file_stem(test)
    raw, text, facts = (stem.with_name(stem.name + end) for end in (".raw", ".txt", ".json"))
    return raw.read_bytes(), text.read_text(), json.loads(facts.read_text())


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

    raw, text, facts = kept(tmp_path, "two")
    assert raw == b"between\nof two\n"
    assert facts["neighbour"] == [[0, len("between\n")]]
    assert [line.split(" ", 3)[-1].strip() for line in text.splitlines()[2:]] != []
    assert ("< between" in text, "| of two" in text) == (True, True)
    assert kept(tmp_path, "one")[2]["neighbour"] == [[0, len("before any\n")]]


def test_console_files_index_every_byte(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("one")
        for piece in (b"a", b"bc", b"def"):
            console.transcript.append(piece)
        console.transcript.mark("power on")
        recorder.end_test("one")

    raw, _, facts = kept(tmp_path, "one")
    assert [raw[offset : offset + size] for _, _, offset, size in facts["chunks"]] == [b"a", b"bc", b"def"]
    assert [mark[2:] for mark in facts["marks"]] == [
        [0, "test begins: one", "test_begins"],
        [6, "power on", "note"],
        [6, "test ends: one", "test_ends"],
    ]


def test_console_files_of_a_rerun_are_appended(tmp_path: Path) -> None:
    for attempt, words in enumerate((b"first\n", b"second\n")):
        with recorded(tmp_path) as (console, recorder):
            console.transcript.append(b"before\n")
            recorder.begin_test("one", again=attempt > 0)
            console.transcript.append(words)
            recorder.end_test("one")

    raw, text, facts = kept(tmp_path, "one")
    assert raw == b"before\nfirst\nbefore\nsecond\n"
    assert facts["neighbour"] == [[0, 7], [13, 20]]
    assert [raw[at : at + size] for _, _, at, size in facts["chunks"]] == raw.splitlines(keepends=True)
    assert [mark[3] for mark in facts["marks"]][1:3] == ["test ends: one", "test begins again: one"]
    assert ("| first" in text, "| second" in text) == (True, True)


def test_run_console_files_are_appended_by_a_second_holder(tmp_path: Path) -> None:
    for words in (b"first\n", b"second\n"):
        with recorded(tmp_path) as (console, recorder):
            console.transcript.append(words)
            recorder.begin_test("one")
            recorder.end_test("one")

    assert (tmp_path / "console" / "run-5a1c0e01.raw").read_bytes() == b"first\nsecond\n"
    assert "| second" in (tmp_path / "console" / "run-5a1c0e01.txt").read_text()


def test_run_console_files_overwrite_an_earlier_run(tmp_path: Path) -> None:
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

        stem = tmp_path / "console" / file_stem("one")
        assert stem.with_name(stem.name + ".raw").read_bytes() == b"last words"


def test_console_recorder_scans_on_after_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "console").write_text("a file, not a folder")
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("one")
        console.transcript.append(b"Kernel panic\n")
        recorder.end_test("one")

        assert isinstance(recorder.error, OSError)
        assert [finding.name for finding in recorder.scanner.findings] == ["kernel panic"]


def test_console_files_keep_hostile_bytes_only_in_raw(tmp_path: Path) -> None:
    with recorded(tmp_path) as (console, recorder):
        recorder.begin_test("one\x1b[31m")
        console.transcript.append(b"\x1b]0;evil\x07\x1b[2J\0\xff" + "\u202e".encode())
        recorder.end_test("one\x1b[31m")

    raw, text, _ = kept(tmp_path, "one\x1b[31m")
    assert b"\x1b]0;evil" in raw
    assert text.isascii()
    assert "\x1b" not in text


PIECES = st.lists(st.lists(st.binary(min_size=1, max_size=30), max_size=5), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(PIECES)
def test_console_recorder_puts_every_byte_into_one_test(tmp_path: Path, tests: list[list[bytes]]) -> None:
    with recorded(tmp_path) as (console, recorder):
        for number, pieces in enumerate(tests):
            recorder.begin_test(str(number))
            for piece in pieces:
                console.transcript.append(piece)
            recorder.end_test(str(number))
    for number, pieces in enumerate(tests):
        raw, text, facts = kept(tmp_path, str(number))

        assert raw == b"".join(pieces)
        assert facts["neighbour"] == []
        assert text.count("*") >= 2


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
