"""What the console's way from tty to test costs: against plain pexpect, and for sixteen boards at once.

Everything takes part that does in a run: reader, transcript, `expect`, the files of run and tests, and the
watch list.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect.fdpexpect

from hil.dutlink.console.console import Console
from hil.dutlink.console.tty import Tty
from hil.evidence.console_file import ConsoleFolder
from hil.evidence.console_recorder import ConsoleRecorder
from hil.evidence.console_slices import RunConsoles
from hil.evidence.records import file_stem
from tests.bench.console_feed import BYTES_A_SECOND, MARK, PACKET_BYTES, THE_END, Feed, feeding, packet
from tests.bench.ratios import Ratio, interleaved, rows
from tests.support.harness import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.harness import Row

EVERY_BYTES = 64 * 1024
"""What a DUT says while it boots, about."""

GOAL = 1 / 3
LINEAR_GOAL = 1.3
CPU_GOAL = 0.05
LIMIT_S = 600.0
MARKED = MARK.replace(b"%08d", rb"([0-9]+)")


def main() -> int:
    """Measure and print the tables; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100, help="how much one console says at full speed")
    parser.add_argument("--consoles", type=int, default=16, help="how many speak at the pace of a UART")
    parser.add_argument("--kilobytes", type=int, default=1000, help="how much each of them says")
    options = parser.parse_args()
    size = options.megabytes
    pairs = interleaved(partial(_seconds, _by_pexpect, size), partial(_seconds, _by_hil, size), 1)
    halves = interleaved(partial(_seconds, _by_hil, size // 2), partial(_seconds, _by_hil, size), 3)
    per_byte = [(half * size / (size // 2), whole) for half, whole in halves]
    ratios = [
        Ratio.of(f"expect in {size} MB, against pexpect", pairs, GOAL),
        Ratio.of("a byte of it, against one of half of it", per_byte, LINEAR_GOAL),
    ]
    missed = show(rows(ratios))
    return show([_sixteen(options.consoles, options.kilobytes * 1000 // PACKET_BYTES)]) or missed


def _seconds(read: Callable[[Feed], int], megabytes: int) -> float:
    """Time one way of reading all that a console says.

    Raises:
        ValueError: Something was missed.
    """
    with feeding(1, "--megabytes", str(megabytes), "--every", str(EVERY_BYTES)) as feed:
        began = time.perf_counter()
        found = read(feed)
        spent_s = time.perf_counter() - began
    if found < megabytes * 1_000_000 // (EVERY_BYTES + 100):
        message = f"only {found} marks were found"
        raise ValueError(message)
    return spent_s


def _by_pexpect(feed: Feed) -> int:
    child = pexpect.fdpexpect.fdspawn(feed.slaves[0], timeout=LIMIT_S)
    _go(feed)
    found = 0
    while child.expect([MARKED, THE_END]) == 0:
        found += 1
        _check(int(child.match.group(1)), found)
    return found


def _by_hil(feed: Feed) -> int:
    with tempfile.TemporaryDirectory() as folder, _recorded(feed, Path(folder)) as ((console, recorder),):
        recorder.begin_test("test")
        _go(feed)
        found = 0
        while (came := console.expect([MARKED, THE_END], LIMIT_S)).index == 0:
            found += 1
            _check(int(came.group(1)), found)
        recorder.end_test("test")
        _check((Path(folder) / "run-0.raw").stat().st_size, console.transcript.position)
    return found


def _sixteen(consoles: int, packets: int) -> Row:
    """Have many consoles speak at once; a test ends and another begins half-way on each."""
    with (
        tempfile.TemporaryDirectory() as folder,
        feeding(consoles, "--packets", str(packets)) as feed,
        _recorded(feed, Path(folder)) as followed,
    ):
        for at, (_, recorder) in enumerate(followed):
            recorder.begin_test(f"first of {at}")
        began, cpu_s = time.monotonic(), time.process_time()
        _go(feed)
        _wait_for(followed, packets * PACKET_BYTES // 2)
        for at, (_, recorder) in enumerate(followed):
            recorder.end_test(f"first of {at}")
            recorder.begin_test(f"second of {at}")
        _wait_for(followed, packets * PACKET_BYTES)
        for at, (_, recorder) in enumerate(followed):
            recorder.end_test(f"second of {at}")
        share = (time.process_time() - cpu_s) / (time.monotonic() - began)
        wrong = sum(not _is_whole(Path(folder), at, packets) for at in range(consoles))
    return (
        f"{consoles} consoles, {packets * PACKET_BYTES / 1000:.0f} kB each at {BYTES_A_SECOND * 10} baud: "
        f"{wrong} with a byte lost or misfiled, {share:.1%} of a core, goal {CPU_GOAL:.0%}"
    ), share <= CPU_GOAL and not wrong


def _wait_for(followed: list[tuple[Console, ConsoleRecorder]], size: int) -> None:
    """Wait until each console has said so much."""
    while any(console.transcript.position < size for console, _ in followed):
        time.sleep(0.1)


def _is_whole(folder: Path, at: int, packets: int) -> bool:
    """Whether the files hold what the console said, all of it, each byte in one test."""
    said = b"".join(packet(at, number) for number in range(packets))
    run = (folder / f"run-{at}.raw").read_bytes()
    tests = [RunConsoles(folder, "").slice(file_stem(f"{which} of {at}")) for which in ("first", "second")]
    parts = [part for test in tests if test is not None for part in test.read(0, test.size_bytes)]
    return run == said == b"".join(data for _, data, _ in parts)


@contextmanager
def _recorded(feed: Feed, folder: Path) -> Iterator[list[tuple[Console, ConsoleRecorder]]]:
    with ExitStack() as stack:
        followed = []
        for at, path in enumerate(feed.ttys):
            tty = Tty(path, is_board=False)
            console = stack.enter_context(Console(str(at), lambda tty=tty: tty, tty))  # type: ignore[misc]
            recorder = ConsoleRecorder(console, str(at), ConsoleFolder(folder))
            stack.callback(recorder.close)
            followed.append((console, recorder))
        yield followed


def _go(feed: Feed) -> None:
    assert feed.process.stdin is not None
    feed.process.stdin.write(b"go\n")
    feed.process.stdin.flush()


def _check(came: int, wanted: int) -> None:
    if came != wanted:
        message = f"{came} came where {wanted} was due"
        raise ValueError(message)


if __name__ == "__main__":
    sys.exit(main())
