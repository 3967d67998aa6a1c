"""What a run and an exporter say to each other about one board, on one stream of bytes.

    run -> exporter     HELLO {user, host, pid, command}
                        LIST                            what is on the bus now
                        NOTE {test}                     what it is used for, for others to read
                        TRANSFER device setup data      a control transfer; see `Transfer`
    exporter -> run     WAIT {holder}                   somebody else has the board
                        READY {...}                     it is yours as long as this stream lasts
                        LISTING [...]                   answers LIST
                        RESULT status data              answers TRANSFER, and NOTE
                        STICK {name, size_bytes} | {}   the stick came to the exporter's host, or went
    both                HEARTBEAT                       sent every second

A frame is a kind, a number by which an answer finds its question, the payload's size, and the payload. What
is said about images is told in `hil.jumpstarter.exporter.stick_service`.
"""

from __future__ import annotations

import enum
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hil.errors import BoardReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Frame", "FrameDecoder", "FrameKind", "Transfer"]

_HEAD = struct.Struct(">BII")
_TRANSFER = struct.Struct(">HHBBHHHI")
_RESULT = struct.Struct(">i")
_IN = 0x80
_LONGEST_BYTES = 1 << 21


class FrameKind(enum.IntEnum):
    """What a frame says; ours alone, no public protocol."""

    HELLO = 1
    LIST = 2
    TRANSFER = 3
    NOTE = 4
    BEGIN = 5
    MANIFEST = 6
    CHUNK = 7
    WAIT = 16
    READY = 17
    LISTING = 18
    RESULT = 19
    STICK = 20
    MISSING = 21
    PROGRESS = 22
    SIZE = 23
    DONE = 24
    FAILED = 25
    HEARTBEAT = 32


_KINDS = frozenset(int(kind) for kind in FrameKind)


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing said.

    Attributes:
        kind: What.
        number: Which question, or the answer to which; 0 where there is neither.
        payload: JSON, or as `Transfer` and `result` have it.
    """

    kind: FrameKind
    number: int = 0
    payload: bytes = b""

    @classmethod
    def with_json(cls, kind: FrameKind, facts: Any, number: int = 0) -> Self:  # noqa: ANN401 - plain data
        """Make one that carries plain data."""
        return cls(kind, number, json.dumps(facts).encode())

    @classmethod
    def result(cls, number: int, status: int, data: bytes) -> Self:
        """Make the answer to a transfer: an error number (0: none), and what was read."""
        return cls(FrameKind.RESULT, number, _RESULT.pack(status) + data)

    @property
    def json(self) -> Any:  # noqa: ANN401 - as above
        """The plain data in it; raises BoardReplyError where it is none."""
        try:
            return json.loads(self.payload)
        except (ValueError, RecursionError) as error:
            raise _garbled(f"a frame of kind {self.kind} without JSON") from error

    @property
    def status_and_data(self) -> tuple[int, bytes]:
        """What `result` put in; raises BoardReplyError where it did not."""
        try:
            (status,) = _RESULT.unpack_from(self.payload)
        except struct.error as error:
            raise _garbled("an answer without a status") from error
        return status, self.payload[_RESULT.size :]

    def to_bytes(self) -> bytes:
        """As it goes over the stream."""
        return _HEAD.pack(self.kind, self.number, len(self.payload)) + self.payload


@dataclass(frozen=True, slots=True)
class Transfer:
    """A control transfer.

    Attributes:
        bus: Of the device, as the listing had it.
        address: The same.
        request_type: `bmRequestType`.
        request: `bRequest`.
        value: `wValue`.
        index: `wIndex`.
        length: `wLength`.
        timeout_ms: The time limit; 0: none.
        data: What is written; empty when reading.
    """

    bus: int
    address: int
    request_type: int
    request: int
    value: int
    index: int
    length: int
    timeout_ms: int
    data: bytes = b""

    @property
    def reads(self) -> bool:
        """Whether the device sends the data."""
        return bool(self.request_type & _IN)

    def to_bytes(self) -> bytes:
        """As a frame's payload."""
        head = (self.bus, self.address, self.request_type, self.request, self.value, self.index, self.length)
        return _TRANSFER.pack(*head, self.timeout_ms) + self.data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """The inverse of `to_bytes`; raises BoardReplyError where there is none."""
        try:
            *numbers, timeout_ms = _TRANSFER.unpack_from(payload)
        except struct.error as error:
            raise _garbled("a transfer that is cut short") from error
        bus, address, request_type, request, value, index, length = numbers
        return cls(
            bus,
            address,
            request_type,
            request,
            value,
            index,
            length,
            timeout_ms,
            payload[_TRANSFER.size :],
        )


class FrameDecoder:
    """Takes a stream's bytes as they come, and gives the frames in them."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that is complete now.

        Raises:
            BoardReplyError: This is no stream of such frames.
        """
        self._rest += data
        while len(self._rest) >= _HEAD.size:
            kind, number, size = _HEAD.unpack_from(self._rest)
            if size > _LONGEST_BYTES or kind not in _KINDS:
                raise _garbled(f"a frame of kind {kind} with {size} bytes")
            if len(self._rest) < _HEAD.size + size:
                return
            payload = bytes(self._rest[_HEAD.size : _HEAD.size + size])
            del self._rest[: _HEAD.size + size]
            yield Frame(FrameKind(kind), number, payload)


def _garbled(why: str) -> BoardReplyError:
    return BoardReplyError(
        "the stream between run and exporter is garbled",
        why=why,
        remedy="install the same version of hil on both sides",
    )
