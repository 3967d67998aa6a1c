"""What is fuzzed: every parser of words that others wrote, and both protocols of the simulator.

A target takes any bytes and returns; it raises for a mistake of ours alone. Errors by which a parser refuses
are expected, and so are the few others that its caller turns into one; nothing else is.
"""

from __future__ import annotations

import asyncio
import atexit
import io
import json
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.cli.commands.console_output import PlainTextSink
from hil.cli.commands.console_terminal import TerminalModes
from hil.dutlink.borrowed_lease import LENT, word_in
from hil.dutlink.console.sanitize import CiCommandFilter, SanitizingDecoder, sanitize_line
from hil.dutlink.console.transcript import Chunk
from hil.dutlink.power.reading import PowerReading
from hil.dutlink.power.sequence import PowerSequence
from hil.dutlink.settings import Settings, _decode, encode
from hil.dutlink.usb.firmware import FirmwareVersion
from hil.dutlink.usb.protocol import ConfigKey
from hil.errors import HilError
from hil.evidence.console_slices import RunConsoles
from hil.evidence.error_scanner import ErrorScanner
from hil.evidence.run_folder import EvidenceFolder
from hil.evidence.timestamped_log import TimestampedLog
from hil.flash.formats.bmap import read_bmap
from hil.flash.formats.image import Hole
from hil.flash.formats.open import open_disk_image
from hil.history.store import History, merge_history
from hil.history.window import Window
from hil.jumpstarter.protocol.frames import FrameDecoder, FrameKind, Transfer
from hil.lab.config.lab_file import parse_lab
from hil.lab.locks.holder import Holder
from hil.lab.locks.tickets import Ticket
from hil.lab.safe_state.record import RECORD_BYTES, BoardRecord
from hil.lab.stick_sockets import _parsed as parse_sockets
from hil.nightly.run_folder import newest_record
from hil.report.run_view import read_run
from hil.report.transcript import read_console_view
from hil.sim.backend.descriptor_tree import parse_configuration_descriptor, parse_device_descriptor
from hil.sim.connections import Connections
from hil.sim.dut.session import PASSWORD, USER, LoginSession
from hil.sim.dut.uart import DutTransmitter
from hil.sim.host.bus import UsbBus
from hil.sim.management.client import _parsed as parse_answer
from hil.sim.management.server import ManagementServer
from hil.sim.simulator import Simulator, SimulatorOptions, open_folders
from hil.sim.usbip import messages, urbs
from hil.sim.usbip.server import _UsbIpConnection
from hil.suite.xdist.channel import ControllerChannel
from hil.suite.xdist.worker_channel import WorkerChannel
from tests.support.board_bench import BoardBench
from tests.support.dut_bench import MemoryStick
from tests.support.made_up import READ_FILES
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["TARGETS"]

SLOW_S = 5.0
MOST_IMAGE_BYTES = 64 << 20
"""So much of an image is read: a small archive may hold terabytes."""


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut bytes as a stream might deliver them; the first one says how."""
    size = data[0] % 64 + 1 if data else 1
    for begin in range(1, len(data), size):
        yield data[begin : begin + size]


def lab_file(data: bytes) -> None:
    with suppress(HilError, UnicodeDecodeError):
        lab = parse_lab(Path("lab.toml"), data.decode())
        for place in lab.places.values():
            lab.wiring_of(place.serial), lab.watch_of(place.serial), lab.policy_of(place.serial)


def record(data: bytes) -> None:
    read = BoardRecord.from_json(data)
    assert len(read.to_json()) == RECORD_BYTES
    assert BoardRecord.from_json(read.to_json()).state == read.state
    assert sanitize_line(str(read.holder)) == str(read.holder)


def lock(data: bytes) -> None:
    holder, ticket = Holder.from_json(data), Ticket.from_json(data)
    assert holder is None or len(holder.to_json()) < RECORD_BYTES
    assert ticket is None or ticket.to_json()
    word_in(data, LENT)
    parse_sockets(data)


def block_map(data: bytes) -> None:
    (_folder() / "map").write_bytes(data)
    with suppress(HilError):
        read_bmap(_folder() / "map")


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="hil-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def image(data: bytes) -> None:
    path = _folder() / "image"
    path.write_bytes(data[1:])
    with suppress(HilError):
        image = open_disk_image(path, bmap=False, force=bool(data[:1]), file_system=True)
        done = 0
        for extent in image.extents():
            assert extent.offset >= done
            done = extent.offset + (extent.size_bytes if isinstance(extent, Hole) else len(extent.data))
            if done > MOST_IMAGE_BYTES:
                return


def settings(data: bytes) -> None:
    """Settings as typed, and every short answer of a board."""
    name, _, value = data.decode(errors="surrogateescape").partition("=")
    with suppress(HilError):
        encode(name, value)
    with suppress(HilError):
        sequence = PowerSequence.parse(value)
        assert PowerSequence.parse(sequence.format()) == sequence
    for parse in (PowerReading.parse, FirmwareVersion.parse):
        with suppress(HilError):
            str(parse(data))
    for key in ConfigKey:
        text = _decode(key, data)
        Settings(**{key.name.lower(): text})
        assert sanitize_line(text).encode() == text.encode() or key is ConfigKey.TAGS


def console(data: bytes) -> None:
    text, commands, modes, watch = (
        SanitizingDecoder(),
        CiCommandFilter(),
        TerminalModes(),
        ErrorScanner(["panic|[a-z]+ error"]),
    )
    timed = TimestampedLog(io.StringIO(), 0.0)
    shown, at = "", 0
    for piece in pieces(data):
        chunk = Chunk(0.0, 0.0, piece, at)
        at += len(piece)
        shown += commands.feed(text.feed(piece))
        modes.feed(piece)
        watch.feed(chunk)
        timed.add(chunk)
    shown += commands.feed(text.finish()) + commands.finish()
    watch.scan()
    watch.take_findings()
    timed.finish()
    modes.undo()
    assert not any(ord(letter) < ord(" ") and letter not in "\n\t" for letter in shown), shown
    assert not any(line.startswith(("::", "##[", "##vso")) for line in shown.splitlines()), shown


def history(data: bytes) -> None:
    theirs, ours = _folder() / "theirs.db", _folder() / "ours.db"
    for path in (theirs, ours):
        for beside in _folder().glob(f"{path.name}*"):
            beside.unlink()
    theirs.write_bytes(data)
    with suppress(HilError), History(ours) as kept:
        merge_history(kept, theirs)
        for run in kept.runs():
            kept.attempts(run.key)
            Window(kept, now_s=run.began_s)
    with suppress(HilError), History(theirs, to_read=True) as kept:
        kept.read("SELECT * FROM attempt JOIN run ON run.id=run_id")


def evidence(data: bytes) -> None:
    """One file of a run's folder is anything, and then each of its files."""
    folder = _folder() / "evidence"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tests").mkdir(parents=True)
    (folder / "2026-11-23T013000Z").mkdir()
    for name in READ_FILES:
        (folder / name).write_bytes(data)
    kept = EvidenceFolder(folder)
    kept.run(), kept.tests("")
    newest_record(folder)
    run = read_run(folder)
    assert run is None or run.headline
    with suppress(OSError):
        consoles = RunConsoles(folder, "")
        for stem in ("a", *consoles.stems):
            read_console_view(consoles, stem)


def usb_descriptors(data: bytes) -> None:
    """What a client of USB/IP is told: lists, records, answers, descriptors."""
    for for_host in (False, True):
        with suppress(messages.WireError):
            for record in messages.parse_list(data, for_host=for_host):
                record.format()
    if len(data) >= urbs.HEADER_BYTES:
        urbs.Reply.parse(data[: urbs.HEADER_BYTES])
    with suppress(ValueError):
        parse_device_descriptor(data)
    with suppress(ValueError):
        parse_configuration_descriptor(data)


def control_requests(data: bytes) -> None:
    """Control requests to the simulated board, console bytes to it, and time that passes between them."""
    bench, at = BoardBench(), 0
    while at < len(data):
        kind = data[at]
        if kind & 1:
            setup, length = data[at : at + 8], 8
            body = data[at + 8 : at + 8 + int.from_bytes(setup[6:8], "little") % 300]
            if len(setup) == 8:
                is_in = bool(setup[0] & 0x80)
                setup = setup[:6] + len(body).to_bytes(2, "little")
                done = bench.submit(
                    0, is_in=is_in, setup=setup, data=b"" if is_in else body, length=len(body)
                )
                assert done.status in {None, 0, -32}
            at += length + (0 if setup[:1] >= b"\x80" else len(body))
        elif kind & 2:
            bench.send(data[at + 1 : at + 1 + kind // 4])
            at += 1 + kind // 4
        else:
            bench.clock.advance(kind / 16)
            at += 1
    bench.drain()
    bench.clock.advance(300.0)
    assert bench.state["flash"]["blocks_used"] <= 16


class _Machine:
    """A simulated DUT that is up: what the commands of its shell act on."""

    identity = "demo-1"
    boot_log = "[    0.000000] Linux\r\n"

    def __init__(self) -> None:
        self.stick = MemoryStick(bytes(range(256)) * 16)

    def load(self, amps: float | None) -> None:
        assert amps is None or amps >= 0

    def shut_down(self, *, restart: bool) -> None:
        assert restart in {True, False}


def dut_console(data: bytes) -> None:
    """What is typed at the simulated DUT, logged in."""
    clock = ManualClock()
    session = LoginSession(clock, DutTransmitter(clock, bytearray().extend), _Machine())
    for words in (USER, PASSWORD):
        for byte in f"{words}\r".encode():
            session.terminal.feed(byte)
        clock.advance(1.0)
    assert session.logged_in
    for piece in pieces(data):
        for byte in piece:
            session.terminal.feed(byte)
        clock.advance(0.01)
    clock.advance(5.0)
    session.close()


class _Transport:
    """A client that reads whatever it is sent."""

    def __init__(self) -> None:
        self._closing = False

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)

    def close(self) -> None:
        self._closing = True

    abort = close

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else _Socket()


class _Socket:
    def setsockopt(self, *_arguments: int) -> None:
        pass


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _in_loop(act: Callable[[], None]) -> None:
    """Call something in the event loop; errors of callbacks count."""

    async def run() -> None:
        act()

    errors: list[dict[str, Any]] = []
    _loop().set_exception_handler(lambda _loop, context: errors.append(context))
    _loop().run_until_complete(run())
    assert not errors, errors


def usbip_server(data: bytes) -> None:
    """What a client of USB/IP sends, with a simulated board on the bus."""
    bench = BoardBench()
    bus = UsbBus(bench.clock)
    port = bus.add_port("1-1")
    port.plug(bench.board)
    bench.clock.advance(1.0)

    def act() -> None:
        connections = Connections()
        connection = _UsbIpConnection(bus, connections)
        connection.connection_made(_Transport())  # type: ignore[arg-type]
        for piece in pieces(data):
            connection.data_received(piece)
            bench.clock.advance(0.01)
        connection.connection_lost(None)

    _in_loop(act)
    assert bench.state


@cache
def _simulator() -> Simulator:
    """A simulator that listens nowhere, for all inputs: making one takes a hundred times as long."""
    opened = open_folders(_folder() / "state")
    simulator = None

    def begin() -> None:
        nonlocal simulator
        simulator = Simulator(SimulatorOptions(boards=1, stick_bytes=1 << 20), opened.__enter__())
        for board in simulator.boards.values():
            board.slot.plug()

    _in_loop(begin)
    atexit.register(opened.__exit__, None, None, None)
    assert simulator is not None
    return simulator


def control_port(data: bytes) -> None:
    simulator = _simulator()

    def act() -> None:
        ((serial, board),) = simulator.boards.items()
        port = ManagementServer(simulator)
        for line in data.replace(b"SERIAL", serial.encode()).split(b"\n"):
            port.answer(line)
            with suppress(ValueError, RecursionError):
                request = json.loads(line)
                if isinstance(request, dict):
                    asked = json.dumps(request | {"token": simulator.token})
                    answer, has_token = port.answer(asked.encode())
                    assert has_token
                    assert json.loads(json.dumps(answer))["ok"] in {True, False}
        for disk in simulator.foreign_disks._disks:
            simulator.foreign_disks.unplug(disk)
        if board.faults.active():
            board.faults.clear()

    _in_loop(act)


def frames(data: bytes) -> None:
    """What a run and an exporter say to each other."""
    stream = FrameDecoder()
    with suppress(HilError):
        for piece in pieces(data):
            for frame in stream.feed(piece):
                with suppress(HilError):
                    _ = frame.status_and_data if frame.kind is FrameKind.RESULT else frame.json
                with suppress(HilError):
                    assert Transfer.from_bytes(frame.payload).to_bytes() == frame.payload


@cache
def _channel() -> ControllerChannel:
    return ControllerChannel()


def run_line(data: bytes) -> None:
    """What a worker tells its controller, and a controller its worker."""
    errors: list[object] = []
    threading.excepthook = errors.append
    with socket.socket(socket.AF_UNIX) as worker:
        worker.connect(str(_channel().path))
        worker.sendall(data)
    with tempfile.TemporaryDirectory(dir=_folder()) as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/run")
        server.listen()
        gone = threading.Event()
        channel = WorkerChannel(f"{folder}/run", "gw0", gone.set)
        with server.accept()[0] as controller:
            controller.sendall(data)
        assert gone.wait(SLOW_S)
        channel.close()
        Path(folder).mkdir(exist_ok=True)  # a worker tidies up after a controller that is gone
    assert not errors, errors


def hello(data: bytes) -> None:
    """What whatever listens at a management port answers."""
    with suppress(ValueError, RecursionError):
        parse_answer(data)


def plain_output(data: bytes) -> None:
    class Kept:
        def write(self, text: bytes | str) -> None:
            assert isinstance(text, str)

    lines = PlainTextSink(Kept())  # type: ignore[arg-type]
    for piece in pieces(data):
        lines.show(Chunk(0.0, 0.0, piece, 0))
    lines.close()


TARGETS: dict[str, Callable[[bytes], None]] = {
    act.__name__: act
    for act in (
        *(lab_file, record, lock, block_map, image, settings, console, plain_output, history, evidence),
        *(
            usb_descriptors,
            control_requests,
            dut_console,
            usbip_server,
            control_port,
            frames,
            run_line,
            hello,
        ),
    )
}
