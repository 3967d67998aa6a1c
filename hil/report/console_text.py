"""A test's console as lines with times, for a terminal or a file."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from hil.evidence.records import file_stem, part_name
from hil.evidence.run_consoles import RunConsoles
from hil.evidence.run_folder import EvidenceFolder
from hil.evidence.timestamped_log import TimestampedLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.evidence.console_slice import ConsoleSlice
    from hil.evidence.records import RecordedTest

__all__ = ["read_console_texts"]


def read_console_texts(folder: Path, words: str) -> dict[str, str]:
    """Return the console of each test with these words in its node id, by its name, as lines with times.

    Args:
        folder: The evidence of a run.
        words: Part of the node id.

    Raises:
        OSError: A file cannot be read.
    """
    evidence = EvidenceFolder(folder)
    run = evidence.run()
    key = run.key if run is not None else ""
    consoles = RunConsoles(folder / "console", key)
    tests = [test for test in evidence.tests(key) if words in test.nodeid]
    found = {name: consoles.slice(stem) for test in tests for name, stem in _parts(test)}
    return {name: _lines(console) for name, console in found.items() if console is not None}


def _parts(test: RecordedTest) -> Iterator[tuple[str, str]]:
    """Yield the name under which the console of each of a test's boards is kept, and the stem of that."""
    yield test.nodeid, test.stem or file_stem(test.nodeid)
    for board in test.partners:
        name = part_name(test.nodeid, board.role)
        yield name, file_stem(name)


def _lines(console: ConsoleSlice) -> str:
    text = StringIO()
    start_s = console.marks[0].monotonic_s if console.marks else console.at_s(0) or 0.0
    log = TimestampedLog(text, start_s, wall=False)
    for event, is_neighbour in console.events():
        log.add(event, of_neighbour=is_neighbour)
    log.finish()
    return text.getvalue()
