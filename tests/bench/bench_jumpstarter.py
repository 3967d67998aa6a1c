"""What our driver for Jumpstarter's exporter costs, against Jumpstarter's own DUTLink driver.

Both serve the same simulated board, each from a process of its own, to Jumpstarter's own client over
loopback; they take turns. The image is quarter-mapped, and zstd halves what is mapped. The
simulator runs ten times as fast as real time, so that a stick comes to the host within 0.4 s for both.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal
from jumpstarter.client import client_from_path
from ratios import Ratio, interleaved, table

from hil.dutlink.board import open_board
from hil.dutlink.host import Host
from hil.flash.opening import open_image
from hil.flash.progress import Silent
from hil.jumpstarter.remote_stick import RemoteStick
from hil.jumpstarter.road import Road
from hil.sim.backend import simulated_host
from hil.sim.image import build_image
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal

MIB = 1 << 20
SPEED = 10.0
NOT_SLOWER = 1.0
IN_A_THREAD = 1.1
"""Their reading blocks the exporter's event loop while the board answers; ours waits in a thread."""

A_THIRD = 1 / 3
PROMPT = b"# "
RIVAL = Path(__file__).with_name("jumpstarter_rival.py")


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40, help="how many pairs of calls count")
    parser.add_argument("--image-mib", type=int, default=1024, help="size of the image")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HIL_LOCK_DIR"] = str(Path(folder) / "locks")
        ratios = _measure(Path(folder), options.repeats, options.image_mib)
    print(table(ratios))  # noqa: T201  # the table is the point
    return 0 if all(ratio.holds for ratio in ratios) else 1


def _measure(folder: Path, repeats: int, image_mib: int) -> list[Ratio]:
    stick_bytes = 2 * image_mib * MIB
    with SimulatorProcess(boards=1, speed=SPEED, stick_bytes=stick_bytes) as simulator, ExitStack() as stack:
        _boot(simulator, folder / "small")
        their, our = (stack.enter_context(_served(kind, simulator)) for kind in ("theirs", "ours"))
        theirs, ours = (stack.enter_context(_connected(address)) for address in (their, our))
        switched = interleaved(
            partial(_calls_s, theirs.power.on, theirs.power.off),
            partial(_calls_s, ours.board.force_on, ours.board.force_off),
            repeats,
        )
        readings = interleaved(partial(_reading_s, theirs), partial(_reading_s, ours), repeats)
        ours.storage.dut()  # it was safe, so nobody had it
        ours.power.on()
        _log_in(ours)
        console = interleaved(partial(_console_s, their), partial(_console_s, our), 3)
        image = folder / "image"
        _make_image(image, image_mib)
        flash = [(_their_flash_s(theirs, image), _our_flash_s(our, image))]
    return [
        Ratio.of("a power call", switched, NOT_SLOWER),
        Ratio.of("the first reading of the meter", readings, IN_A_THREAD),
        Ratio.of("console bytes, both ways", console, NOT_SLOWER),
        Ratio.of(f"flash of {image_mib} MiB, a quarter mapped", flash, A_THIRD),
    ]


def _boot(simulator: SimulatorProcess, image: Path) -> None:
    """Put a small system onto the stick, for a console that has something to say."""
    build_image(image, "bench-1", 4 * MIB)
    there = simulated_host(simulator.ready)
    with open_board(Host(there.label, there.backend, there.dev, there.sys), console=False) as board:
        board.storage.flash(image)
        board.storage.dut()


@contextmanager
def _served(kind: str, simulator: SimulatorProcess) -> Iterator[str]:
    """A process that serves the board with one of the drivers; gives its address."""
    ready = simulator.ready
    serial, port = ready["boards"][0]["serial"], ready["control_port"]
    by_id = Path(ready["dev"]) / "disk" / "by-id"
    stick = by_id / f"usb-HIL_Simulated_Stick_{_stick_serial(simulator)}-0:0"
    command = [sys.executable, str(RIVAL), kind, serial, str(port), str(stick)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def _stick_serial(simulator: SimulatorProcess) -> str:
    there = simulated_host(simulator.ready)
    with open_board(Host(there.label, there.backend, there.dev, there.sys), console=False) as board:
        board.storage.host()
        name = board.storage.wait_for_node().name
        board.storage.dut()
    return name.removeprefix("usb-HIL_Simulated_Stick_").removesuffix("-0:0")


def _client(address: str, portal: BlockingPortal, stack: ExitStack) -> Any:
    return client_from_path(address, portal, stack, allow=[], unsafe=True, insecure=True)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    with (
        start_blocking_portal() as portal,
        ExitStack() as stack,
        portal.wrap_async_context_manager(_client(address, portal, stack)) as client,
    ):
        yield client


def _calls_s(*calls: Callable[[], object]) -> float:
    """Seconds for one of these calls."""
    began = time.perf_counter()
    for call in calls:
        call()
    return (time.perf_counter() - began) / len(calls)


def _reading_s(client: Any) -> float:
    return _calls_s(partial(next, client.power.read()))


def _log_in(client: Any) -> None:
    with client.console.stream() as stream:
        for awaited, typed in ((b"login: ", b"root\r"), (b"word: ", b"hil\r"), (PROMPT, b"")):
            _read_until(stream, awaited)
            stream.send(typed)


def _console_s(address: str) -> float:
    """Seconds to have the boot log printed ten times; the DUT's UART sets the pace of both.

    By a connection of its own: their driver has the tty open, and takes its bytes, until the client is gone.
    """
    with _connected(address) as client, client.console.stream() as stream:
        began = time.perf_counter()
        for _ in range(10):
            stream.send(b"dmesg\r")
            _read_until(stream, b"\r\n" + PROMPT)
        return time.perf_counter() - began


def _read_until(stream: Any, awaited: bytes) -> None:
    seen = b""
    while awaited not in seen:
        seen += stream.receive()


def _make_image(file: Path, size_mib: int) -> None:
    """Write 4 of every 16 MiB; every other KiB is random, which zstd halves."""
    with file.open("wb") as image:
        for at in range(0, size_mib, 16):
            image.seek(at * MIB)
            image.write(b"".join(os.urandom(1024) + bytes(1024) for _ in range(2048)))
        image.truncate(size_mib * MIB)


def _their_flash_s(client: Any, image: Path) -> float:
    return _calls_s(partial(client.storage.flash, str(image)))


def _our_flash_s(address: str, image: Path) -> float:
    """Seconds of a flash as a run does it: the exporter proves it, then the DUT gets the stick."""
    road = Road(address).connect(partial(_client, address))
    began = time.perf_counter()
    RemoteStick(road).flash(open_image(image, True), Silent(), force=False)
    spent_s = time.perf_counter() - began
    road.close()
    return spent_s


if __name__ == "__main__":
    sys.exit(main())
