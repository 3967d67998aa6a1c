"""Frames that a run and an exporter exchange about one board, on one stream of bytes.

    run -> exporter     HELLO {user, host, pid, command}
                        LIST                            list the devices on the bus
                        NOTE {test}                     the test that uses the board, shown to other users
                        TRANSFER device setup data      do a control transfer; see `Transfer`
    exporter -> run     WAIT {holder}                   another run has the board
                        READY {...}                     the board is this run's until the stream ends
                        LISTING [...]                   answers LIST
                        RESULT status data              answers TRANSFER and NOTE
                        STICK {name, size_bytes} | {}   the stick appeared on the exporter's host, or vanished
    both                HEARTBEAT                       sent every second

A frame consists of its kind, a request number that its answer repeats, the size of the payload, and the
payload. `hil.jumpstarter.exporter.stick_stream` describes the frames about images.
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
    """Kind of a frame. The protocol is private to hil."""

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
    """One frame.

    Attributes:
        kind: What the payload means.
        number: Number of the request that this frame makes or answers; 0 if it does neither.
        payload: JSON, or the bytes of a `Transfer` or of a `result`.
    """

    kind: FrameKind
    number: int = 0
    payload: bytes = b""

    @classmethod
    def with_json(cls, kind: FrameKind, data: Any, number: int = 0) -> Self:  # noqa: ANN401 - plain data
        """Return a frame with `data` as JSON."""
        return cls(kind, number, json.dumps(data).encode())

    @classmethod
    def result(cls, number: int, status: int, data: bytes) -> Self:
        """Return the answer to a transfer: an errno (0: no error) and the bytes read."""
        return cls(FrameKind.RESULT, number, _RESULT.pack(status) + data)

    @property
    def json(self) -> Any:  # noqa: ANN401 - plain data
        """The payload, decoded from JSON.

        Raises:
            BoardReplyError: The payload is not JSON.
        """
        try:
            return json.loads(self.payload)
        except (ValueError, RecursionError) as error:
            raise _garbled(f"the payload of a frame of kind {self.kind} is not JSON") from error

    @property
    def status_and_data(self) -> tuple[int, bytes]:
        """The errno and the bytes that `result` packed.

        Raises:
            BoardReplyError: The payload is too short.
        """
        try:
            (status,) = _RESULT.unpack_from(self.payload)
        except struct.error as error:
            raise _garbled("an answer has no status") from error
        return status, self.payload[_RESULT.size :]

    def to_bytes(self) -> bytes:
        """Return the frame as it goes over the stream."""
        return _HEAD.pack(self.kind, self.number, len(self.payload)) + self.payload


@dataclass(frozen=True, slots=True)
class Transfer:
    """A control transfer.

    Attributes:
        bus: Bus number of the device, from LISTING.
        address: Address of the device on that bus.
        request_type: `bmRequestType`.
        request: `bRequest`.
        value: `wValue`.
        index: `wIndex`.
        length: `wLength`.
        timeout_ms: Time limit; 0: none.
        data: Bytes to write; empty for a read.
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
        """Whether the device sends the data (an IN transfer)."""
        return bool(self.request_type & _IN)

    def to_bytes(self) -> bytes:
        """Return the payload of a TRANSFER frame."""
        head = (self.bus, self.address, self.request_type, self.request, self.value, self.index, self.length)
        return _TRANSFER.pack(*head, self.timeout_ms) + self.data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Parse the payload of a TRANSFER frame.

        Raises:
            BoardReplyError: The payload is too short.
        """
        try:
            *numbers, timeout_ms = _TRANSFER.unpack_from(payload)
        except struct.error as error:
            raise _garbled("a transfer is cut short") from error
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
    """Decodes frames from a stream of bytes that arrives in pieces of any size."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes and yield each frame that they complete.

        Raises:
            BoardReplyError: The bytes are no frames.
        """
        self._rest += data
        while len(self._rest) >= _HEAD.size:
            kind, number, size = _HEAD.unpack_from(self._rest)
            if size > _LONGEST_BYTES or kind not in _KINDS:
                raise _garbled(f"a frame has kind {kind} and {size} bytes")
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
