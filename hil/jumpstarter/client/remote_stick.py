"""The run's end of flashing and reading a stick that is on an exporter's host."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hil.errors
from hil.errors import BoardReplyError, HilError
from hil.flash.formats.image import Hole
from hil.flash.results import Flashed, ReadBack
from hil.flash.sparse_file import SparseFile
from hil.jumpstarter.protocol.frames import Frame, FrameDecoder, FrameKind
from hil.jumpstarter.protocol.manifest import CHUNK_BYTES, ManifestEntry, iter_chunks
from hil.jumpstarter.protocol.zstd_codec import compress, decompress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.jumpstarter.client.connection import ExporterConnection

__all__ = ["RemoteStick"]

_PLAN_AT_ONCE = 4096
_ZEROS = bytes(CHUNK_BYTES)


class RemoteStick:
    """The stick of a board that an exporter has.

    Args:
        connection: The way there.
    """

    def __init__(self, connection: ExporterConnection) -> None:
        self._connection = connection

    def flash(self, image: Image, progress: Progress, *, force: bool) -> Flashed:
        """Send what the stick lacks of an image; the exporter writes and proves it. See `Storage.flash`."""
        plan = self._plan(image, progress)
        with self._talk() as talk:
            facts = {"label": image.label, "size_bytes": image.size_bytes, "force": force}
            talk.say(Frame.with_json(FrameKind.BEGIN, facts | {"pieces": len(plan)}))
            for at in range(0, len(plan), _PLAN_AT_ONCE):
                some = [piece.to_plain() for piece in plan[at : at + _PLAN_AT_ONCE]]
                talk.say(Frame.with_json(FrameKind.MANIFEST, some))
            lacking: set[int] = set()
            while some := talk.hear(FrameKind.MISSING).json:
                lacking.update(some)
            self._send(talk, image, lacking, progress)
            done = talk.hear(FrameKind.DONE, progress).json
        return Flashed(**done | {"node": Path(done["node"])})

    def read(self, path: Path, size_bytes: int | None, progress: Progress) -> ReadBack:
        """Read the stick into a sparse file; see `Storage.read`."""
        began = time.monotonic()
        with self._talk() as talk, SparseFile(path) as file:
            talk.say(Frame.with_json(FrameKind.BEGIN, {"read": True, "size_bytes": size_bytes or 0}))
            facts = talk.hear(FrameKind.SIZE).json
            size, left = facts["size_bytes"], facts["size_bytes"]
            progress.begin("read", size)
            while left:
                frame = talk.hear(FrameKind.CHUNK)
                length = _checked_length(frame.number, left)
                file.write(decompress(frame.payload, length) if frame.payload else _ZEROS[:length])
                progress.advance(length)
                left -= length
            progress.end()
            talk.hear(FrameKind.DONE)
        return ReadBack(path, size, Path(facts["node"]), time.monotonic() - began)

    def check_proven(self) -> None:
        """Ask the exporter, who has it on record; see `Storage.check_proven`."""
        with self._talk() as talk:
            talk.say(Frame.with_json(FrameKind.BEGIN, {"check_proven": True}))
            talk.hear(FrameKind.DONE)

    @staticmethod
    def _plan(image: Image, progress: Progress) -> list[ManifestEntry]:
        """Read the image once, to know its pieces."""
        plan = []
        progress.begin("compare", image.mapped_bytes)
        for found in iter_chunks(image):
            plan.append(ManifestEntry.of(found))
            progress.advance(plan[-1].size_bytes)
        progress.end()
        return plan

    @staticmethod
    def _send(talk: _Talk, image: Image, lacking: set[int], progress: Progress) -> None:
        progress.begin("send", len(lacking) * CHUNK_BYTES)
        if lacking:
            for index, found in enumerate(iter_chunks(image)):
                if index in lacking and not isinstance(found, Hole):
                    _, data = found
                    talk.say(Frame(FrameKind.CHUNK, index, compress(data)))
                    progress.advance(len(data))
        progress.end()

    @contextmanager
    def _talk(self) -> Iterator[_Talk]:
        """Open a stream; what breaks it is told as a lost board."""
        try:
            with self._connection.stream("flash") as stream:
                yield _Talk(self._connection, stream)
        except (HilError, OSError):
            raise
        except Exception as error:
            broke = f"its connection broke ({type(error).__name__} {error})"
            why = self._connection.lost_reason or self._connection.ask_why_lost() or broke
            raise self._connection.lost_error(why) from error


class _Talk:
    """FrameDecoder both ways; one is on its way while the next is made."""

    def __init__(self, connection: ExporterConnection, stream: Any) -> None:  # noqa: ANN401 - Jumpstarter's
        self._connection = connection
        self._portal = connection.portal
        self._stream = stream
        self._frames = FrameDecoder()
        self._heard: list[Frame] = []
        self._going: Future[None] | None = None

    def say(self, frame: Frame) -> None:
        if self._going is not None:
            self._going.result()
        self._going = self._portal.start_task_soon(
            self._connection.run_unless_lost, self._stream.send, frame.to_bytes()
        )

    def hear(self, kind: FrameKind, progress: Progress | None = None) -> Frame:
        """Wait for a frame; progress is passed on, an error is raised as what it was there."""
        if self._going is not None:
            self._going.result()
        while True:
            while not self._heard:
                self._heard += self._frames.feed(
                    self._portal.call(self._connection.run_unless_lost, self._stream.receive)
                )
            frame = self._heard.pop(0)
            if frame.kind is kind:
                return frame
            if frame.kind is FrameKind.FAILED:
                raise _told(frame.json)
            if frame.kind is FrameKind.PROGRESS and progress is not None:
                _pass_on(frame.json, progress)


def _checked_length(length: int, left: int) -> int:
    """Return how many bytes a chunk makes; raise BoardReplyError if no exporter sends so many, or none."""
    if not 0 < length <= min(left, CHUNK_BYTES):
        raise BoardReplyError(
            "what the exporter reads of the stick came garbled",
            why=f"a chunk of {length} bytes, where up to {min(left, CHUNK_BYTES)} are left",
            remedy="install the same version of hil on both sides",
        )
    return length


def _pass_on(facts: dict[str, Any], progress: Progress) -> None:
    if "begin" in facts:
        progress.begin(facts["begin"], facts["total_bytes"])
    elif "advance" in facts:
        progress.advance(facts["advance"])
    else:
        progress.end()


def _told(facts: dict[str, Any]) -> HilError:
    """Make the error that the exporter told, of its own kind if there is one of that name."""
    kind = getattr(hil.errors, str(facts.pop("error")), HilError)
    what = str(facts.pop("what"))
    known = isinstance(kind, type) and issubclass(kind, HilError)
    return (kind if known else HilError)(what, **facts)
