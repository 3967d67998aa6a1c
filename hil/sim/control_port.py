"""The control port: the truth about every board, and the faults; one JSON object a line, each way.

Any user of the host, and any web page that is open on it, can reach a port on loopback. So each request but
`hello` must carry the token of the ready line, which is also in a file that only the simulator's user can
read.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from hil.errors import HilError, SimulatorError
from hil.sim.simulator import LOOPBACK, ServedBoard, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ControlPort"]

_DISK = {"disk": "stranger", "socket": "2-100", "serial": "FFFF", "size_bytes": 64 << 20}
"""Names and defaults of what `plug_disk` takes."""

_LINE_LIMIT = 1 << 16
_Request = dict[str, Any]
_Answer = dict[str, Any]


class ControlPort:
    """Listens on loopback, whatever address USB/IP has."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.number = 0

    async def listen(self) -> None:
        """Begin to listen on any free port, its number in `number`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self.answer, self._connections), LOOPBACK, 0
        )
        self.number = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end every connection, answers that are written going out first."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close()

    def answer(self, line: bytes) -> _Answer:
        """Answer one request; whatever is wrong with it is told, never raised."""
        try:
            return {"ok": True, **self._do(_parsed(line))}
        except HilError as error:
            return {"ok": False, "error": {key: error.parts[key] for key in ("what", "why", "remedy")}}

    def _do(self, request: _Request) -> _Answer:
        verb = request.get("do")
        action = self._VERBS.get(verb) if isinstance(verb, str) else None
        if action is None:
            known = ", ".join(self._VERBS)
            raise SimulatorError(f"nothing can do {verb!r}", why="no such request", remedy=f"one of {known}")
        if verb != "hello":
            self._check_token(request.pop("token", None))
        return action(self, request)

    def _check_token(self, token: object) -> None:
        expected = self._simulator.token
        if not isinstance(token, str) or not hmac.compare_digest(
            token.encode(errors="replace"), expected.encode()
        ):
            raise SimulatorError(
                "this request lacks the simulator's token",
                why="other users and web pages reach this port, too",
                remedy='add "token" from the ready line, or use `hil sim fault` as the user that started it',
            )

    def _hello(self, _request: _Request) -> _Answer:
        return {key: value for key, value in self._simulator.ready(self.number).items() if key != "token"}

    def _state(self, request: _Request) -> _Answer:
        asked = [self._board(request)] if "board" in request else self._simulator.boards.values()
        return {"boards": [board.truth() for board in asked]}

    def _fault(self, request: _Request) -> _Answer:
        arguments = {key: value for key, value in request.items() if key not in {"do", "board", "fault"}}
        self._board(request).desk.begin(str(request.get("fault")), arguments)
        return {}

    def _clear(self, request: _Request) -> _Answer:
        self._board(request).desk.clear()
        return {}

    def _log(self, request: _Request) -> _Answer:
        since = request.get("since", 0)
        if type(since) is not int:
            raise SimulatorError(f"since is {since!r}", why="not an index", remedy="a number, 0 for all")
        requests, following = self._board(request).rig.log.since(since)
        return {"requests": requests, "next": following}

    def _plug_disk(self, request: _Request) -> _Answer:
        given = [request.get(key, default) for key, default in _DISK.items()]
        if [type(value) for value in given] != [type(default) for default in _DISK.values()]:
            raise SimulatorError(
                f"{given!r} is no disk", why="a value has the wrong type", remedy=f"of these types: {_DISK}"
            )
        self._simulator.strangers.plug(*given)
        return {}

    def _unplug_disk(self, request: _Request) -> _Answer:
        self._simulator.strangers.unplug(str(request.get("disk")))
        return {}

    def _disks(self, _request: _Request) -> _Answer:
        return {"disks": self._simulator.strangers.states()}

    def _quit(self, _request: _Request) -> _Answer:
        self._simulator.ended.set()
        return {}

    def _board(self, request: _Request) -> ServedBoard:
        serial = request.get("board")
        board = self._simulator.boards.get(serial) if isinstance(serial, str) else None
        if board is None:
            known = ", ".join(self._simulator.boards)
            raise SimulatorError(f"no board {serial!r} here", why="", remedy=f"its serial number: {known}")
        return board

    _VERBS: dict[str, Callable[[ControlPort, _Request], _Answer]] = {  # noqa: RUF012 - never changed
        "hello": _hello,
        "state": _state,
        "fault": _fault,
        "clear": _clear,
        "log": _log,
        "plug_disk": _plug_disk,
        "unplug_disk": _unplug_disk,
        "disks": _disks,
        "quit": _quit,
    }


def _parsed(line: bytes) -> _Request:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SimulatorError("that is no JSON", why=str(error), remedy='{"do": "hello"}') from error
    if not isinstance(request, dict):
        raise SimulatorError(f"{request!r} is no request", why="not an object", remedy='{"do": "hello"}')
    return request


class _Connection(asyncio.Protocol):
    """One client of the control port."""

    def __init__(self, answer: Callable[[bytes], _Answer], connections: set[_Connection]) -> None:
        self._answer = answer
        self._connections = connections
        self._received = bytearray()
        self._requests: deque[bytes] = deque()
        self._is_full = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone."""
        self._connections.discard(self)

    def pause_writing(self) -> None:
        """The client does not read its answers: answer no more requests, and take none."""
        self._is_full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_full = False
        self._answer_requests()
        if not self._is_full:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Answer every whole line; a line that never ends ends the connection."""
        self._received += data
        *lines, rest = bytes(self._received).split(b"\n")
        self._received[:] = rest
        self._requests += lines
        self._answer_requests()
        if len(self._received) > _LINE_LIMIT:
            self._transport.abort()

    def _answer_requests(self) -> None:
        """Answer in order; the transport pauses this connection while an answer waits for its reader."""
        while self._requests and not self._is_full:
            self._transport.write(json.dumps(self._answer(self._requests.popleft())).encode() + b"\n")

    def close(self) -> None:
        """End it, once what is written is out."""
        self._transport.close()
