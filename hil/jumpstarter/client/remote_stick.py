"""The run's end of flashing and reading a stick on an exporter's host; see `exporter.stick_stream`."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import hil.errors
from hil.errors import BoardReplyError, HilError
from hil.flash.formats.image import Hole
from hil.flash.results import Flashed, ReadBack
from hil.flash.sparse_file import SparseFile
from hil.jumpstarter.protocol.frames import Frame, FrameDecoder, FrameKind
from hil.jumpstarter.protocol.image_chunks import (
    CHUNK_BYTES,
    ManifestEntry,
    compress,
    decompress,
    iter_chunks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.jumpstarter.client.connection import ExporterConnection

__all__ = ["Placeholder", "RemoteStick"]

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_TEXT = "This stick is at {label}.\nIts bytes are not in this file: use storage.flash() and storage.read().\n"


class Placeholder:
    """A read-only file in the place of a stick, with the stick's name and size; `close` removes it.

    Bytes written to such a file would never reach the stick. Mode 0 does not stop root, so the file is a
    sealed memory file: the kernel refuses every write to it with EPERM.

    Args:
        node: Path of the placeholder, a symbolic link.
        label: Name of the other machine; the file's text says it.
        size_bytes: The stick's size.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, node: Path, label: str, size_bytes: int) -> None:
        self._node = node
        self._file = os.memfd_create("hil-remote-stick", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(self._file, _TEXT.format(label=label).encode())
        os.ftruncate(self._file, size_bytes)
        os.fchmod(self._file, 0)
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, _SEALS)
        fresh = node.with_name(".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"/proc/{os.getpid()}/fd/{self._file}")
        fresh.rename(node)

    def close(self) -> None:
        """Remove the placeholder; harmless when repeated."""
        self._node.unlink(missing_ok=True)
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_ENTRIES_PER_FRAME = 4096
_ZEROS = bytes(CHUNK_BYTES)


class RemoteStick:
    """The stick of an exporter's board.

    Args:
        connection: Connection to the exporter.
    """

    def __init__(self, connection: ExporterConnection) -> None:
        self._connection = connection

    def flash(self, image: Image, progress: Progress, *, force: bool) -> Flashed:
        """Send the chunks that the stick lacks; the exporter writes and verifies. See `Storage.flash`."""
        manifest = self._manifest(image, progress)
        with self._exchange() as exchange:
            facts = {"label": image.label, "size_bytes": image.size_bytes, "force": force}
            exchange.send(Frame.with_json(FrameKind.BEGIN, facts | {"pieces": len(manifest)}))
            for at in range(0, len(manifest), _ENTRIES_PER_FRAME):
                entries = [entry.to_plain() for entry in manifest[at : at + _ENTRIES_PER_FRAME]]
                exchange.send(Frame.with_json(FrameKind.MANIFEST, entries))
            missing: set[int] = set()
            while indexes := exchange.receive(FrameKind.MISSING).json:
                missing.update(indexes)
            self._send(exchange, image, missing, progress)
            done = exchange.receive(FrameKind.DONE, progress).json
        return Flashed(**done | {"node": Path(done["node"])})

    def read(self, path: Path, size_bytes: int | None, progress: Progress) -> ReadBack:
        """Read the stick into a sparse file; see `Storage.read`."""
        began = time.monotonic()
        with self._exchange() as exchange, SparseFile(path) as file:
            exchange.send(Frame.with_json(FrameKind.BEGIN, {"read": True, "size_bytes": size_bytes or 0}))
            facts = exchange.receive(FrameKind.SIZE).json
            size, left = facts["size_bytes"], facts["size_bytes"]
            progress.begin("read", size)
            while left:
                frame = exchange.receive(FrameKind.CHUNK)
                length = _checked_length(frame.number, left)
                file.write(decompress(frame.payload, length) if frame.payload else _ZEROS[:length])
                progress.advance(length)
                left -= length
            progress.end()
            exchange.receive(FrameKind.DONE)
        return ReadBack(path, size, Path(facts["node"]), time.monotonic() - began)

    def check_image_verified(self) -> None:
        """Have the exporter check its record of the stick; see `Storage.check_image_verified`."""
        with self._exchange() as exchange:
            exchange.send(Frame.with_json(FrameKind.BEGIN, {"check_proven": True}))
            exchange.receive(FrameKind.DONE)

    @staticmethod
    def _manifest(image: Image, progress: Progress) -> list[ManifestEntry]:
        """Read the image once and return its manifest."""
        manifest = []
        progress.begin("compare", image.mapped_bytes)
        for found in iter_chunks(image):
            manifest.append(ManifestEntry.of(found))
            progress.advance(manifest[-1].size_bytes)
        progress.end()
        return manifest

    @staticmethod
    def _send(exchange: _Exchange, image: Image, missing: set[int], progress: Progress) -> None:
        progress.begin("send", len(missing) * CHUNK_BYTES)
        if missing:
            for index, found in enumerate(iter_chunks(image)):
                if index in missing and not isinstance(found, Hole):
                    _, data = found
                    exchange.send(Frame(FrameKind.CHUNK, index, compress(data)))
                    progress.advance(len(data))
        progress.end()

    @contextmanager
    def _exchange(self) -> Iterator[_Exchange]:
        """Open a stream for a `with` block; raise BoardLostError if it breaks."""
        try:
            with self._connection.stream("flash") as stream:
                yield _Exchange(self._connection, stream)
        except (HilError, OSError):
            raise
        except Exception as error:
            broke = f"its connection broke ({type(error).__name__} {error})"
            why = self._connection.lost_reason or self._connection.ask_why_lost() or broke
            raise self._connection.lost_error(why) from error


class _Exchange:
    """Sends and receives frames on one stream. A frame is sent while the caller makes the next one."""

    def __init__(self, connection: ExporterConnection, stream: Any) -> None:  # noqa: ANN401 - Jumpstarter's
        self._connection = connection
        self._portal = connection.portal
        self._stream = stream
        self._decoder = FrameDecoder()
        self._received: list[Frame] = []
        self._sending: Future[None] | None = None

    def send(self, frame: Frame) -> None:
        if self._sending is not None:
            self._sending.result()
        self._sending = self._portal.start_task_soon(
            self._connection.run_unless_lost, self._stream.send, frame.to_bytes()
        )

    def receive(self, kind: FrameKind, progress: Progress | None = None) -> Frame:
        """Wait for a frame of a kind; pass PROGRESS on to `progress`.

        Raises:
            HilError: The exporter sent FAILED with this error.
        """
        if self._sending is not None:
            self._sending.result()
        while True:
            while not self._received:
                self._received += self._decoder.feed(
                    self._portal.call(self._connection.run_unless_lost, self._stream.receive)
                )
            frame = self._received.pop(0)
            if frame.kind is kind:
                return frame
            if frame.kind is FrameKind.FAILED:
                raise _exporter_error(frame.json)
            if frame.kind is FrameKind.PROGRESS and progress is not None:
                _report(frame.json, progress)


def _checked_length(length: int, left: int) -> int:
    """Return the length of a chunk that the exporter sent.

    Raises:
        BoardReplyError: The chunk is empty, or larger than the bytes that are left or `CHUNK_BYTES`.
    """
    if not 0 < length <= min(left, CHUNK_BYTES):
        raise BoardReplyError(
            "the bytes of the stick arrived damaged",
            why=f"a chunk has {length} bytes, the limit is {min(left, CHUNK_BYTES)}",
            remedy="install the same version of hil on both sides",
        )
    return length


def _report(facts: dict[str, Any], progress: Progress) -> None:
    if "begin" in facts:
        progress.begin(facts["begin"], facts["total_bytes"])
    elif "advance" in facts:
        progress.advance(facts["advance"])
    else:
        progress.end()


def _exporter_error(facts: dict[str, Any]) -> HilError:
    """Return the error that the exporter sent, of its own class if this version of hil has that class."""
    kind = getattr(hil.errors, str(facts.pop("error")), HilError)
    what = str(facts.pop("what"))
    known = isinstance(kind, type) and issubclass(kind, HilError)
    return (kind if known else HilError)(what, **facts)
