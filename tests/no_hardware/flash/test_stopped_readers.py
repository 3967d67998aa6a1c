"""A flash that is ended does not wait for what nobody wants of an archive."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from typing import TYPE_CHECKING

from hil.dutlink.waiting import until
from hil.flash.opening import open_image
from hil.flash.pieces import Pieces
from hil.flash.stoppable import StoppableThread, StoppedError, raise_if_stopped

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

AT_ONCE_S = 5.0
"""Processor time: a fraction of a second for what is ended, a minute for the whole archive."""

GIB = 1 << 30


def archive_of_zeros(path: Path, size_gib: int) -> None:
    """Write an archive of so many GiB, of which the first sector ends as a disk's does."""
    zeros = zstd.compress(bytes(4 << 20))
    start = zstd.compress(bytes(510) + b"\x55\xaa" + bytes((4 << 20) - 512))
    path.write_bytes(start + zeros * (256 * size_gib - 1))


def map_of_first_and_last_block(path: Path, size_bytes: int) -> None:
    last = size_bytes // 4096 - 1
    text = (
        '<?xml version="1.0" ?>\n<bmap version="2.0">\n'
        f"<ImageSize> {size_bytes} </ImageSize>\n<BlockSize> 4096 </BlockSize>\n"
        f"<BlocksCount> {last + 1} </BlocksCount>\n<MappedBlocksCount> 2 </MappedBlocksCount>\n"
        f"<ChecksumType> sha256 </ChecksumType>\n<BmapFileChecksum> {'0' * 64} </BmapFileChecksum>\n"
        f"<BlockMap>\n<Range> 0 </Range>\n<Range> {last} </Range>\n</BlockMap>\n</bmap>\n"
    )
    path.write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))


def test_pieces_end_at_once_within_an_archive_that_no_map_wants(tmp_path: Path) -> None:
    archive_of_zeros(tmp_path / "disk.img.zst", 400)
    map_of_first_and_last_block(tmp_path / "disk.bmap", 400 * GIB)
    image = open_image(tmp_path / "disk.img.zst", tmp_path / "disk.bmap")
    began = time.process_time()

    with Pieces(image):
        assert until(lambda: time.process_time() - began > 0.1, 60), "nothing was decompressed"

    assert time.process_time() - began < AT_ONCE_S


def test_a_skippable_frame_is_passed_over_without_being_read(tmp_path: Path) -> None:
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


def test_stoppable_thread_ends_where_its_work_looks() -> None:
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
