"""The stream by which a run with hil flashes and reads the stick: the run sends only what the stick lacks.

This is the exporter's end. Stock Jumpstarter clients flash by `stock_drivers.StorageDriver`.

    run -> exporter     BEGIN {label, size_bytes, force, pieces}, MANIFEST [[offset, size, digest], ...] ...
    exporter -> run     MISSING [index, ...] ... MISSING []     the chunks that the stick lacks
    run -> exporter     CHUNK index, zstd ...                   those chunks
    exporter -> run     PROGRESS {...} ... DONE {...} | FAILED {...}

To read: BEGIN {read} is answered by SIZE, a CHUNK for each range (empty for zeros), and DONE. BEGIN
{check_proven} is answered by DONE, or by FAILED if the stick may boot an image that was not read back.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import from_thread, move_on_after, to_thread

from hil.errors import HilError, StorageError
from hil.flash.disk.disk import allocate_buffer
from hil.jumpstarter.protocol import heartbeat
from hil.jumpstarter.protocol.frames import Frame, FrameDecoder, FrameKind
from hil.jumpstarter.protocol.image_chunks import (
    CHUNK_BYTES,
    ManifestEntry,
    SpooledImage,
    chunk_digest,
    compress,
    decompress,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import ObjectStream

    from hil.flash.disk.disk import Disk
    from hil.jumpstarter.exporter.tenant import Tenant

__all__ = ["StickStream"]

_COMPARE_BUDGET = 16
_INDEXES_PER_FRAME = 4096
_MAX_ENTRIES = 4 << 20
_ZEROS = bytes(CHUNK_BYTES)


class StickStream:
    """Flashes one image, or reads the stick once. It is the `Progress` of its flash and reports to the run.

    Args:
        stream: Stream to the run.
        tenant: The Jumpstarter lease that the stream belongs to.
        spool: Folder for the image; empty: the system's folder for temporary files.
    """

    def __init__(self, stream: ObjectStream[bytes], tenant: Tenant, spool: str) -> None:
        self._stream = stream
        self._tenant = tenant
        self._spool = spool or None
        self._decoder = FrameDecoder()
        self._received: list[Frame] = []
        self._timeout_s = heartbeat.RUN_TIMEOUT_S

    async def serve(self) -> None:
        """Do what the run asks for; an error is sent to the run, which raises it again."""
        await to_thread.run_sync(self._serve)

    def _serve(self) -> None:
        try:
            begin = self._receive().json
            self._send(Frame.with_json(FrameKind.DONE, self._do(begin)))
        except HilError as error:
            self._send(Frame.with_json(FrameKind.FAILED, error.parts))
        except OSError as error:
            failed = StorageError("the exporter cannot store the image", why=str(error))
            self._send(Frame.with_json(FrameKind.FAILED, failed.parts))

    def _do(self, begin: dict[str, Any]) -> dict[str, Any]:
        if begin.get("check_proven"):
            with self._tenant.board() as board:
                board.storage.check_image_verified()
            return {}
        return self._read(begin) if begin.get("read") else self._flash(begin)

    def _flash(self, begin: dict[str, Any]) -> dict[str, Any]:
        entries: list[ManifestEntry] = []
        if not 0 <= begin["pieces"] <= _MAX_ENTRIES:
            raise StorageError(
                f"an image of {begin['pieces']} chunks cannot be flashed",
                why=f"{_MAX_ENTRIES} are {_MAX_ENTRIES * CHUNK_BYTES >> 40} TiB, more than any stick has",
                remedy="flash another image",
            )
        while len(entries) < begin["pieces"]:
            entries += map(ManifestEntry.from_plain, self._receive().json)
        with (
            tempfile.NamedTemporaryFile(prefix="hil-image-", dir=self._spool) as spool,
            self._claim_stick() as disk,
        ):
            missing = self._report_missing(disk, entries, spool.fileno())
            self._receive_chunks(entries, missing, spool.fileno())
            image = SpooledImage(begin["label"], begin["size_bytes"], entries, Path(spool.name))
            with self._tenant.board() as board:
                flashed = board.storage.flash(image, progress=self, force=begin["force"], claimed=disk)
        return asdict(flashed) | {"node": str(flashed.node)}

    def _claim_stick(self) -> Disk:
        """Claim the stick once for comparing and writing: each time it takes seconds to appear."""
        with self._tenant.board() as board:
            disk: Disk = board.storage.claim(to_write=True)
        return disk

    def _report_missing(self, disk: Disk, entries: list[ManifestEntry], spool: int) -> list[int]:
        """Tell the run which chunks the stick lacks; copy the others from the stick to the spool file.

        Equal chunks raise a budget, differing chunks lower it; at zero all further chunks count as missing.
        So a stick with another image is not read for long.
        """
        budget, missing, buffer = _COMPARE_BUDGET, list[int](), allocate_buffer()
        for index, entry in enumerate(entries):
            if entry.is_hole:
                continue
            if budget > 0 and entry.offset + entry.size_bytes <= disk.size_bytes:
                data = disk.read(buffer, entry.offset, entry.size_bytes)
                if chunk_digest(data) == entry.digest:
                    os.pwrite(spool, data, entry.offset)
                    budget = min(budget + 1, 4 * _COMPARE_BUDGET)
                    continue
                budget -= 1
            missing.append(index)
        for at in range(0, len(missing), _INDEXES_PER_FRAME):
            self._send(Frame.with_json(FrameKind.MISSING, missing[at : at + _INDEXES_PER_FRAME]))
        self._send(Frame.with_json(FrameKind.MISSING, []))
        return missing

    def _receive_chunks(self, entries: list[ManifestEntry], missing: list[int], spool: int) -> None:
        for index in missing:
            frame = self._receive()
            os.pwrite(spool, decompress(frame.payload, entries[index].size_bytes), entries[index].offset)

    def _read(self, begin: dict[str, Any]) -> dict[str, Any]:
        buffer = allocate_buffer()
        with self._tenant.board() as board:
            try:
                with board.storage.claim(to_write=False) as disk:
                    size = begin["size_bytes"] or disk.size_bytes
                    if not 0 < size <= disk.size_bytes:
                        raise StorageError(
                            f"{size} bytes cannot be read from {disk.node.name}",
                            why=f"it has {disk.size_bytes}",
                            remedy="ask for fewer bytes, or leave the size out to read all",
                        )
                    self._send(Frame.with_json(FrameKind.SIZE, {"size_bytes": size, "node": str(disk.node)}))
                    for offset, length in _ranges(size):
                        data = disk.read(buffer, offset, length)
                        empty = data == _ZEROS[:length]
                        self._send(Frame(FrameKind.CHUNK, length, b"" if empty else compress(data)))
            finally:
                with suppress(HilError):
                    board.storage.off()
        return {}

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """Report that a phase begins; see `Progress`."""
        self._send(Frame.with_json(FrameKind.PROGRESS, {"begin": phase, "total_bytes": total_bytes}))

    def advance(self, size_bytes: int) -> None:
        """Report that so many more bytes are done."""
        self._send(Frame.with_json(FrameKind.PROGRESS, {"advance": size_bytes}))

    def end(self) -> None:
        """Report that the phase is over."""
        self._send(Frame.with_json(FrameKind.PROGRESS, {}))

    def _receive(self) -> Frame:
        """Wait for the run's next frame.

        Raises:
            StorageError: The run was silent for too long; it would keep one of the exporter's forty threads.
            anyio.EndOfStream: The run has ended its stream.
        """
        if not self._received:
            self._received += from_thread.run(self._receive_frames)
        self._timeout_s = heartbeat.CHUNK_TIMEOUT_S
        return self._received.pop(0)

    async def _receive_frames(self) -> list[Frame]:
        frames: list[Frame] = []
        with move_on_after(self._timeout_s):
            while not frames:
                frames += self._decoder.feed(await self._stream.receive())
        if not frames:
            raise StorageError(
                "nothing was heard of the run",
                why=f"no complete frame came for {self._timeout_s} s",
                remedy="flash or read again",
            )
        return frames

    def _send(self, frame: Frame) -> None:
        from_thread.run(self._stream.send, frame.to_bytes())


def _ranges(size_bytes: int) -> Iterator[tuple[int, int]]:
    return ((at, min(CHUNK_BYTES, size_bytes - at)) for at in range(0, size_bytes, CHUNK_BYTES))
