"""An interrupted flash does not wait for parts of an archive that it does not need."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.flash.chunks import ChunkReader
from hil.flash.formats.content import PROBE_BYTES
from hil.flash.formats.open import open_image
from hil.flash.reader_thread import StoppableThread, StoppedError, raise_if_stopped
from hil.sim.process import SimulatorProcess
from tests.support.programs import processor_s, running

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE_S = 5.0
"""Processor time: a fraction of a second for what is ended, a minute for the whole archive."""

GIB = 1 << 30
SOME_BYTES = 300_000
"""Of an archive of zeros: GiB of them."""


def archive_of_zeros(path: Path, size_gib: int) -> None:
    """Write an archive of so many GiB, of which the first sector ends as a disk's does."""
    zeros = zstd.compress(bytes(4 << 20))
    start = zstd.compress(bytes(510) + b"\x55\xaa" + bytes((4 << 20) - 512))
    path.write_bytes(start + zeros * (256 * size_gib - 1))


def map_of_ends(path: Path, size_bytes: int) -> None:
    """Write a block map of the bytes that `check_is_disk` reads, and of the last block."""
    first, last = PROBE_BYTES // 4096, size_bytes // 4096 - 1
    text = (
        '<?xml version="1.0" ?>\n<bmap version="2.0">\n'
        f"<ImageSize> {size_bytes} </ImageSize>\n<BlockSize> 4096 </BlockSize>\n"
        f"<BlocksCount> {last + 1} </BlocksCount>\n<MappedBlocksCount> {first + 1} </MappedBlocksCount>\n"
        f"<ChecksumType> sha256 </ChecksumType>\n<BmapFileChecksum> {'0' * 64} </BmapFileChecksum>\n"
        f"<BlockMap>\n<Range> 0-{first - 1} </Range>\n<Range> {last} </Range>\n</BlockMap>\n</bmap>\n"
    )
    path.write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))


def test_chunk_reader_stops_at_once_within_unmapped_data(tmp_path: Path) -> None:
    archive_of_zeros(tmp_path / "disk.img.zst", 400)
    map_of_ends(tmp_path / "disk.bmap", 400 * GIB)
    image = open_image(tmp_path / "disk.img.zst", tmp_path / "disk.bmap")
    began = time.process_time()

    with ChunkReader(image):
        assert until(lambda: time.process_time() - began > 0.1, 60), "nothing was decompressed"

    assert time.process_time() - began < AT_ONCE_S


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """A board whose stick has room for 400 GiB; `tmp_path` has its lab file."""
    with SimulatorProcess(boards=1, speed=50, stick_bytes=401 * GIB) as simulator:
        serial = simulator.serials()[0]
        node = simulator.management.state(serial)["stick"]["node"]
        (tmp_path / "lab.toml").write_text(f'[place.one]\nserial = "{serial}"\nstick = "{node}"\n')
        yield simulator


def has_stick(simulator: SimulatorProcess) -> bool:
    """Return whether the host has the stick."""
    return bool(simulator.management.state(simulator.serials()[0])["mux"] == "host")


def read_of(path: Path, pid: int) -> int:
    """Return how many bytes of a file a process has read, where it has the file open."""
    read = [0]
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # the reader has closed it
            if link.samefile(path):
                read.append(int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[1]))
    return max(read)


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_hil_flash_interrupted_stops_at_once_within_unmapped_data(
    tmp_path: Path, simulator: SimulatorProcess, number: signal.Signals, status: int
) -> None:
    archive = tmp_path / "disk.img.zst"
    archive_of_zeros(archive, 400)
    map_of_ends(tmp_path / "disk.bmap", 400 * GIB)
    command = [sys.executable, "-m", "hil.cli.main", "flash", archive.name, "--bmap", "disk.bmap", "--force"]
    where = {"HIL_BOARDS": f"sim@{simulator.management.port}", "HIL_LOCK_DIR": str(tmp_path / "locks")}

    with running(command, cwd=tmp_path, env=os.environ | where, stderr=subprocess.PIPE, text=True) as flash:
        assert until(lambda: has_stick(simulator) and read_of(archive, flash.pid) > SOME_BYTES, 120)
        began = processor_s(flash.pid)
        flash.send_signal(number)
        said = flash.stderr.read()
        os.waitid(os.P_PID, flash.pid, os.WEXITED | os.WNOWAIT)
        took_s = processor_s(flash.pid) - began

        assert (flash.wait(60), took_s < AT_ONCE_S) == (status, True), (took_s, said)
    assert "interrupted: disk.img.zst may not be on the stick" in said
    assert not has_stick(simulator)


def test_unpacked_stream_skips_a_frame_without_reading_it(tmp_path: Path) -> None:
    frame_bytes = (1 << 32) - 16
    with (tmp_path / "disk.img.zst").open("wb") as file:
        for _ in range(8):
            file.write(b"\x50\x2a\x4d\x18" + frame_bytes.to_bytes(4, "little"))
            file.seek(frame_bytes, os.SEEK_CUR)
        file.write(zstd.compress(b"all there is" * 1000))
    began = time.process_time()

    said = b"".join(bytes(extent.data) for extent in open_image(tmp_path / "disk.img.zst").extents())  # type: ignore[union-attr]

    assert said == b"all there is" * 1000
    assert time.process_time() - began < AT_ONCE_S


def test_stoppable_thread_ends_at_raise_if_stopped() -> None:
    ended = []

    def work() -> None:
        try:
            while True:
                raise_if_stopped()
        except StoppedError:
            ended.append("stopped")

    thread = StoppableThread(target=work)
    thread.start()
    thread.stop()
    thread.join(60)

    assert ended == ["stopped"]


def test_raise_if_stopped_returns_in_any_other_thread() -> None:
    raise_if_stopped()
