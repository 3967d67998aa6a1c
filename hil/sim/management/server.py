"""The management port: requests for the true state of boards and for faults, one JSON object a line each way.

Every user of the host, and every web page open on it, can reach a port on loopback. Therefore each request
except `hello` must carry the token of the ready line. The token is also in a file that only the simulator's
user can read.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Any

from hil.errors import HilError, SimulatorError
from hil.sim.connections import Connection, Connections
from hil.sim.simulator import LOOPBACK, ServedBoard, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ManagementServer"]

_DISK = {"disk": "stranger", "socket": "2-100", "serial": "FFFF", "size_bytes": 64 << 20}
"""Arguments of `plug_disk` with their defaults."""

_LINE_LIMIT = 1 << 17
_JsonObject = dict[str, Any]


class ManagementServer:
    """Listens on loopback, whatever address USB/IP listens on."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._connections = Connections()
        self._server: asyncio.Server | None = None
        self.number = 0

    async def listen(self) -> None:
        """Listen on any free port, and store its number in `number`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _ManagementConnection(self, self._connections), LOOPBACK, 0
        )
        self.number = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, and end each connection after its written answers have gone out."""
        if self._server is not None:
            self._server.close()
        self._connections.close()

    def answer(self, line: bytes) -> tuple[_JsonObject, bool]:
        """Answer one request. An error in the request becomes an answer, never an exception.

        Returns:
            The answer, and whether the request carried the simulator's token.
        """
        has_token = False
        try:
            request = _parsed(line)
            has_token = self._has_token(request)
            return {"ok": True, **self._do(request, has_token=has_token)}, has_token
        except HilError as error:
            parts = {key: error.parts[key] for key in ("what", "why", "remedy")}
            return {"ok": False, "error": parts}, has_token

    def _do(self, request: _JsonObject, *, has_token: bool) -> _JsonObject:
        verb = request.get("do")
        action = self._VERBS.get(verb) if isinstance(verb, str) else None
        if action is None:
            known = ", ".join(self._VERBS)
            raise SimulatorError(
                f"unknown request {verb!r}", why="no request has this name", remedy=f"one of {known}"
            )
        if verb != "hello" and not has_token:
            raise SimulatorError(
                "this request lacks the simulator's token",
                why="other users and web pages can reach this port, too",
                remedy='add "token" from the ready line, or use `hil sim fault` as the user that started it',
            )
        return action(self, request)

    def _has_token(self, request: _JsonObject) -> bool:
        """Remove the token from a request, and return True if it is the simulator's."""
        token, expected = request.pop("token", None), self._simulator.token
        return isinstance(token, str) and hmac.compare_digest(
            token.encode(errors="replace"), expected.encode()
        )

    def _hello(self, _request: _JsonObject) -> _JsonObject:
        return {key: value for key, value in self._simulator.ready(self.number).items() if key != "token"}

    def _state(self, request: _JsonObject) -> _JsonObject:
        asked = [self._board(request)] if "board" in request else self._simulator.boards.values()
        return {"boards": [board.state() for board in asked]}

    def _fault(self, request: _JsonObject) -> _JsonObject:
        arguments = {key: value for key, value in request.items() if key not in {"do", "board", "fault"}}
        self._board(request).faults.begin(str(request.get("fault")), arguments)
        return {}

    def _clear(self, request: _JsonObject) -> _JsonObject:
        self._board(request).faults.clear()
        return {}

    def _log(self, request: _JsonObject) -> _JsonObject:
        since = request.get("since", 0)
        if type(since) is not int:
            raise SimulatorError(
                f"`since` is {since!r}", why="it is no index", remedy="a whole number, 0 for all requests"
            )
        requests, following = self._board(request).slot.log.since(since)
        return {"requests": requests, "next": following}

    def _plug_disk(self, request: _JsonObject) -> _JsonObject:
        given = [request.get(key, default) for key, default in _DISK.items()]
        if [type(value) for value in given] != [type(default) for default in _DISK.values()]:
            raise SimulatorError(
                f"no disk can be made of {given!r}",
                why="a value has the wrong type",
                remedy=f"values like {_DISK}",
            )
        self._simulator.foreign_disks.plug(*given)
        return {}

    def _unplug_disk(self, request: _JsonObject) -> _JsonObject:
        self._simulator.foreign_disks.unplug(str(request.get("disk")))
        return {}

    def _disks(self, _request: _JsonObject) -> _JsonObject:
        return {"disks": self._simulator.foreign_disks.states()}

    def _quit(self, _request: _JsonObject) -> _JsonObject:
        self._simulator.ended.set()
        return {}

    def _board(self, request: _JsonObject) -> ServedBoard:
        word = request.get("board")
        boards = self._simulator.boards
        named = {f"sim-{number}": board for number, board in enumerate(boards.values(), 1)}
        board = {**named, **boards}.get(word) if isinstance(word, str) else None
        if board is None:
            known = ", ".join(f"{name} ({serial})" for name, serial in zip(named, boards, strict=True))
            raise SimulatorError(
                f"no board has the name or serial number {word!r}", why="", remedy=f"one of {known}"
            )
        return board

    _VERBS: dict[str, Callable[[ManagementServer, _JsonObject], _JsonObject]] = {  # noqa: RUF012 - never changed
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


def _parsed(line: bytes) -> _JsonObject:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SimulatorError("the request is no JSON", why=str(error), remedy='{"do": "hello"}') from error
    if not isinstance(request, dict):
        raise SimulatorError(
            f"{request!r} is no request", why="it is no JSON object", remedy='{"do": "hello"}'
        )
    return request


class _ManagementConnection(Connection):
    """One client of the management port."""

    def __init__(self, port: ManagementServer, connections: Connections) -> None:
        super().__init__(connections)
        self._port = port
        self._is_full = False
        self._is_answering = False

    def pause_writing(self) -> None:
        """Stop reading and answering requests while the client does not read its answers."""
        self._is_full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue when the client reads again."""
        self._is_full = False
        self._answer_soon()

    def data_received(self, data: bytes) -> None:
        """Answer each complete line. A line that is too long ends the connection."""
        self._received += data
        self._transport.pause_reading()
        self._answer_soon()

    def _answer_soon(self) -> None:
        """Answer one request in each turn of the loop, so that a flood of requests delays no other client."""
        if not self._is_answering:
            self._is_answering = True
            asyncio.get_running_loop().call_soon(self._answer_next)

    def _answer_next(self) -> None:
        self._is_answering = False
        if self._is_full or self._transport.is_closing():
            return
        end = self._received.find(b"\n")
        if end < 0:
            self._wait_for_rest()
            return
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        self._cancel_deadline()
        answer, has_token = self._port.answer(line)
        if has_token:
            self._connections.keep(self)
        self._transport.write(json.dumps(answer).encode() + b"\n")
        self._answer_soon()

    def _wait_for_rest(self) -> None:
        if len(self._received) > _LINE_LIMIT:
            self.abort()
            return
        if self._received:
            self._expect_message()
        self._transport.resume_reading()
