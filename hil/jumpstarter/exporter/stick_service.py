"""The exporter's end of flashing and reading: what the stick lacks is asked for, the rest is done here.

    run -> exporter     BEGIN {label, size_bytes, force, pieces}, MANIFEST [[offset, size, digest], ...]
    exporter -> run     MISSING [index, ...]  ...  MISSING []           what is not on the stick
    run -> exporter     CHUNK index, zstd   ...                     these pieces
    exporter -> run     PROGRESS {...} ...  DONE {...} | FAILED {...}

Reading is BEGIN {read}, then SIZE, CHUNKs of all that is not zeros, and DONE. BEGIN {check_proven} is
answered by DONE, or by FAILED where the stick may boot an image that was not read back.
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
from hil.jumpstarter.protocol.manifest import CHUNK_BYTES, ManifestEntry, SpooledImage, chunk_digest
from hil.jumpstarter.protocol.zstd_codec import compress, decompress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import ObjectStream

    from hil.flash.disk.disk import Disk
    from hil.jumpstarter.exporter.tenant import Tenant

__all__ = ["StickService"]

_CREDIT = 16
_LACKS_AT_ONCE = 4096
_MOST_PIECES = 4 << 20
_ZEROS = bytes(CHUNK_BYTES)


class StickService:
    """One image on its way to the stick, or the stick's bytes on their way to a run.

    Args:
        stream: To the run.
        tenant: The lease that it belongs to.
        spool: Folder for what came; empty: the system's for temporary files.
    """

    def __init__(self, stream: ObjectStream[bytes], tenant: Tenant, spool: str) -> None:
        self._stream = stream
        self._tenant = tenant
        self._spool = spool or None
        self._frames = FrameDecoder()
        self._heard: list[Frame] = []
        self._silence_s = heartbeat.RUN_TIMEOUT_S

    async def serve(self) -> None:
        """Do what the run asks, to its end; an error travels there as what it is."""
        await to_thread.run_sync(self._serve)

    def _serve(self) -> None:
        try:
            begin = self._next().json
            self._say(Frame.with_json(FrameKind.DONE, self._done(begin)))
        except HilError as error:
            self._say(Frame.with_json(FrameKind.FAILED, error.parts))
        except OSError as error:
            failed = StorageError("the image cannot be kept on the exporter", why=str(error))
            self._say(Frame.with_json(FrameKind.FAILED, failed.parts))

    def _done(self, begin: dict[str, Any]) -> dict[str, Any]:
        if begin.get("check_proven"):
            with self._tenant.board() as board:
                board.storage.check_proven()
            return {}
        return self._read(begin) if begin.get("read") else self._flash(begin)

    def _flash(self, begin: dict[str, Any]) -> dict[str, Any]:
        pieces: list[ManifestEntry] = []
        if not 0 <= begin["pieces"] <= _MOST_PIECES:
            raise StorageError(
                f"an image of {begin['pieces']} pieces cannot be flashed",
                why=f"{_MOST_PIECES} are {_MOST_PIECES * CHUNK_BYTES >> 40} TiB, more than any stick has",
                remedy="flash another image",
            )
        while len(pieces) < begin["pieces"]:
            pieces += map(ManifestEntry.from_plain, self._next().json)
        with (
            tempfile.NamedTemporaryFile(prefix="hil-image-", dir=self._spool) as kept,
            self._claimed() as disk,
        ):
            self._receive(pieces, self._lacking(disk, pieces, kept.fileno()), kept.fileno())
            image = SpooledImage(begin["label"], begin["size_bytes"], pieces, Path(kept.name))
            with self._tenant.board() as board:
                flashed = board.storage.flash(image, progress=self, force=begin["force"], claimed=disk)
        return asdict(flashed) | {"node": str(flashed.node)}

    def _claimed(self) -> Disk:
        """Have the stick come once for looking and writing: that takes seconds each time."""
        with self._tenant.board() as board:
            disk: Disk = board.storage.claim(to_write=True)
        return disk

    def _lacking(self, disk: Disk, pieces: list[ManifestEntry], kept: int) -> list[int]:
        """Tell the run which pieces the stick has not got; the others are kept.

        Looking lives on credit: on a stick with another image nothing is looked at for long.
        """
        credit, lacking, buffer = _CREDIT, list[int](), allocate_buffer()
        for index, piece in enumerate(pieces):
            if piece.is_hole:
                continue
            if credit > 0 and piece.offset + piece.size_bytes <= disk.size_bytes:
                data = disk.read(buffer, piece.offset, piece.size_bytes)
                if chunk_digest(data) == piece.digest:
                    os.pwrite(kept, data, piece.offset)
                    credit = min(credit + 1, 4 * _CREDIT)
                    continue
                credit -= 1
            lacking.append(index)
        for at in range(0, len(lacking), _LACKS_AT_ONCE):
            self._say(Frame.with_json(FrameKind.MISSING, lacking[at : at + _LACKS_AT_ONCE]))
        self._say(Frame.with_json(FrameKind.MISSING, []))
        return lacking

    def _receive(self, pieces: list[ManifestEntry], lacking: list[int], kept: int) -> None:
        for index in lacking:
            frame = self._next()
            os.pwrite(kept, decompress(frame.payload, pieces[index].size_bytes), pieces[index].offset)

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
                            remedy="ask for fewer, or for all of them: without a size",
                        )
                    self._say(Frame.with_json(FrameKind.SIZE, {"size_bytes": size, "node": str(disk.node)}))
                    for offset, length in _ranges(size):
                        data = disk.read(buffer, offset, length)
                        empty = data == _ZEROS[:length]
                        self._say(Frame(FrameKind.CHUNK, length, b"" if empty else compress(data)))
            finally:
                with suppress(HilError):
                    board.storage.off()
        return {}

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """A phase of the work begins; see `Progress`."""
        self._say(Frame.with_json(FrameKind.PROGRESS, {"begin": phase, "total_bytes": total_bytes}))

    def advance(self, size_bytes: int) -> None:
        """So many bytes more are done."""
        self._say(Frame.with_json(FrameKind.PROGRESS, {"advance": size_bytes}))

    def end(self) -> None:
        """The phase is over."""
        self._say(Frame.with_json(FrameKind.PROGRESS, {}))

    def _next(self) -> Frame:
        """Wait for the run's next frame; the end of its stream, and too long a silence, end all this.

        A silent run would keep a thread, of which the exporter has forty.
        """
        if not self._heard:
            self._heard += from_thread.run(self._receive_frames)
        self._silence_s = heartbeat.CHUNK_TIMEOUT_S
        return self._heard.pop(0)

    async def _receive_frames(self) -> list[Frame]:
        frames: list[Frame] = []
        with move_on_after(self._silence_s):
            while not frames:
                frames += self._frames.feed(await self._stream.receive())
        if not frames:
            raise StorageError(
                "nothing was heard of the run",
                why=f"it said nothing whole for {self._silence_s} s",
                remedy="flash or read again",
            )
        return frames

    def _say(self, frame: Frame) -> None:
        from_thread.run(self._stream.send, frame.to_bytes())


def _ranges(size_bytes: int) -> Iterator[tuple[int, int]]:
    return ((at, min(CHUNK_BYTES, size_bytes - at)) for at in range(0, size_bytes, CHUNK_BYTES))
