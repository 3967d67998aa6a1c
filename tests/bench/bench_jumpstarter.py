"""What our driver for Jumpstarter's exporter costs, against Jumpstarter's own DUTLink driver.

Both serve the same simulated board, each from a process of its own, to Jumpstarter's own client over
loopback; they take turns. The simulator runs ten times as fast as real time, so that a stick comes to the
host within 0.4 s for both; a hundred times where its UART would set the pace, and at real time, where it
comes after 3.5 s, to count how often it comes for a flash. Every image is a quarter
mapped, zstd halves what is mapped, and the stick has none of it before.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.dutlink.usb.protocol import Request, StorageAction
from hil.flash.formats.open import open_image
from hil.flash.progress import NoProgress
from hil.jumpstarter.client.connection import ExporterConnection
from hil.jumpstarter.client.remote_stick import RemoteStick
from tests.bench.jumpstarter_served import MIB, Served, client, connected, served_by_both
from tests.bench.ratios import Ratio, interleaved, rows
from tests.support.harness import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.harness import Row

SPEED = 10.0
NO_PACE = 100.0
NOT_SLOWER = 1.0
PACED = 1.02
"""Where the DUT's UART sets the pace of both, a difference is noise."""

THE_SAME = 1.1
"""A reading is the same two requests for both, and most of the rest is Jumpstarter's."""

CLEARLY_LESS = 0.8
A_THIRD = 1 / 3
PROMPT = b"# "
COMINGS = {"first flash": 3, "second flash": 2, "third flash": 2}
"""Comings of the stick for our flash: written, read back; and one to learn the socket."""

SMALL_MIB = 16


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200, help="how many pairs of calls count")
    parser.add_argument("--consoles", type=int, default=10, help="how many pairs of consoles count")
    parser.add_argument("--flashes", type=int, default=3, help="how many pairs of images count")
    parser.add_argument("--image-mib", type=int, default=1024, help="size of an image")
    parser.add_argument("--comings-only", action="store_true", help="count the stick's comings, and no more")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HIL_LOCK_DIR"] = str(Path(folder) / "locks")
        comings = list(_comings(Path(folder)))
        ratios = [] if options.comings_only else list(_measure(Path(folder), options))
    return show([*rows(ratios), *comings])


def _comings(folder: Path) -> Iterator[Row]:
    """Count how often the stick comes for a flash by each driver, on a mux as slow as a real one."""
    with served_by_both(folder, 1.0, 2 * SMALL_MIB * MIB) as (theirs, ours):
        for what, goal in COMINGS.items():
            (their, their_s), (our, our_s) = (
                _counted(served, partial(flash_s, served, folder / "image", SMALL_MIB))
                for served, flash_s in ((theirs, _their_flash_s), (ours, _our_flash_s))
            )
            measured = f"theirs {their} comings, {their_s:5.1f} s; hil {our} comings, {our_s:5.1f} s"
            yield f"{what + ':':<14} {measured}  goal {goal}", our <= goal


def _counted(served: Served, flash: Callable[[], float]) -> tuple[int, float]:
    """How often the stick came to the host during a flash, and the seconds that it took."""
    serial = served.simulator.serials()[0]
    _, since = served.simulator.management.log(serial)
    seconds = flash()
    requests, _ = served.simulator.management.log(serial, since)
    turns = [one["wValue"] for one in requests if one["bRequest"] == Request.STORAGE]
    return turns.count(StorageAction.HOST), seconds


def _measure(folder: Path, options: argparse.Namespace) -> Iterator[Ratio]:
    image_mib = options.image_mib
    with served_by_both(folder, SPEED, 2 * image_mib * MIB) as (theirs, ours):
        yield from _calls(theirs, ours, options.repeats)
        wall, cpu = _console(theirs, ours, options.consoles)
        yield Ratio.of("console bytes, both ways, as the UART has it", wall, PACED)
        yield Ratio.of("the exporter's CPU time for them", cpu, CLEARLY_LESS)
        flash = interleaved(
            partial(_their_flash_s, theirs, folder / "image", image_mib),
            partial(_our_flash_s, ours, folder / "image", image_mib),
            options.flashes,
        )
        yield Ratio.of(f"flash of {image_mib} MiB, a quarter mapped", flash, A_THIRD)
    with served_by_both(folder, NO_PACE, 128 * MIB) as (theirs, ours):
        wall, _ = _console(theirs, ours, options.consoles)
        yield Ratio.of("console bytes, ten times as fast", wall, NOT_SLOWER)


def _calls(theirs: Served, ours: Served, repeats: int) -> Iterator[Ratio]:
    with connected(theirs) as their, connected(ours) as our:
        switched = interleaved(
            partial(_calls_s, their.power.on, their.power.off),
            partial(_calls_s, our.board.force_on, our.board.force_off),
            repeats,
        )
        yield Ratio.of("a power call", switched, NOT_SLOWER)
        readings = interleaved(partial(_reading_s, their), partial(_reading_s, our), repeats)
        yield Ratio.of("the first reading of the meter", readings, THE_SAME)


def _calls_s(*calls: Callable[[], object]) -> float:
    """Seconds for one of these calls."""
    began = time.perf_counter()
    for call in calls:
        call()
    return (time.perf_counter() - began) / len(calls)


def _reading_s(there: Any) -> float:
    return _calls_s(partial(next, there.power.read()))


_Pairs = list[tuple[float, float]]


def _console(theirs: Served, ours: Served, repeats: int) -> tuple[_Pairs, _Pairs]:
    """Seconds by the clock, and seconds of the exporters' CPU time."""
    with connected(ours) as our:
        our.storage.dut()  # it was safe, so neither side had the stick
        our.power.on()
        _log_in(our)
        pairs = interleaved(partial(_console_s, theirs), partial(_console_s, ours), repeats)
    return [(their[0], our[0]) for their, our in pairs], [(their[1], our[1]) for their, our in pairs]


def _log_in(there: Any) -> None:
    with there.console.stream() as stream:
        for awaited, typed in ((b"login: ", b"root\r"), (b"word: ", b"hil\r"), (PROMPT, b"")):
            _read_until(stream, awaited)
            stream.send(typed)


def _console_s(served: Served) -> tuple[float, float]:
    """Seconds to have the boot log printed ten times, and the exporter's CPU time for that.

    By a connection of its own: their driver has the tty open, and takes its bytes, until the client is gone.
    """
    with connected(served) as there, there.console.stream() as stream:
        spent, began = served.cpu_s(), time.perf_counter()
        for _ in range(10):
            stream.send(b"dmesg\r")
            _read_until(stream, b"\r\n" + PROMPT)
        return time.perf_counter() - began, served.cpu_s() - spent


def _read_until(stream: Any, awaited: bytes) -> None:
    seen = b""
    while awaited not in seen:
        seen += stream.receive()


def _make_image(file: Path, size_mib: int) -> None:
    """Write 4 of every 16 MiB; every other KiB is random, which zstd halves, and new each time."""
    with file.open("wb") as image:
        for at in range(0, size_mib, 16):
            image.seek(at * MIB)
            image.write(b"".join(os.urandom(1024) + bytes(1024) for _ in range(2048)))
        image.truncate(size_mib * MIB)


def _their_flash_s(served: Served, image: Path, size_mib: int) -> float:
    _make_image(image, size_mib)
    with connected(served) as there:
        return _calls_s(partial(there.storage.flash, str(image)))


def _our_flash_s(served: Served, image: Path, size_mib: int) -> float:
    """Seconds of a flash as a run does it: the exporter proves it, then the DUT gets the stick."""
    _make_image(image, size_mib)
    connection = ExporterConnection(served.address).connect(partial(client, served.address))
    began = time.perf_counter()
    RemoteStick(connection).flash(open_image(image, True), NoProgress(), force=False)
    spent_s = time.perf_counter() - began
    connection.close()
    return spent_s


if __name__ == "__main__":
    sys.exit(main())
