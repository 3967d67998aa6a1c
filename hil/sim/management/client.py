"""Client of a running simulator's management port."""

from __future__ import annotations

import json
import threading
from typing import Any, Self

from hil.errors import SimulatorError
from hil.sim.management.trust import check_folders, check_owner, read_token
from hil.sim.peer_socket import PeerError, PeerSocket

__all__ = ["ManagementClient"]

_LOOPBACK = "127.0.0.1"
_LONGEST_ANSWER_BYTES = 256 << 20
"""Limit for one answer. A full log, of 20,000 requests with their data, has 170 MB."""


class ManagementClient:
    """Reads the true state of simulated boards, and injects faults.

    Thread-safe: one request at a time. If a request failed or was interrupted, the next one connects again.
    The end of a `with` block closes the connection.

    Args:
        port: Number of the management port: `control_port` of the ready line.
        address: Address of the simulator's machine; other than loopback if this is a virtual machine on it.
        token: Token of the ready line, or empty to read it from the simulator's folder when a request needs
            it.

    Raises:
        SimulatorError: No simulator answers there, or it belongs to another user. Every method raises it,
            too.
    """

    def __init__(self, port: int, address: str = _LOOPBACK, token: str = "") -> None:
        self.port = port
        self._is_here = address == _LOOPBACK
        self._token = token
        self._address = address
        self._lock = threading.Lock()
        self._socket = self._connected()
        self._is_lost = self._is_closed = False
        self._ask({"do": "hello", "token": token})  # the simulator ends connections that send nothing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hello(self) -> dict[str, Any]:
        """Return the ready line's object, without its token.

        Raises:
            SimulatorError: A folder of the simulator belongs to another user.
        """
        ready = self._ask({"do": "hello"})
        if self._is_here:
            check_folders(ready)
        return ready

    def state(self, serial: str) -> dict[str, Any]:
        """Return the true state of one board, its DUT and its stick."""
        boards: list[dict[str, Any]] = self._ask_with_token({"do": "state", "board": serial})["boards"]
        return boards[0]

    def states(self) -> list[dict[str, Any]]:
        """Return the true state of all boards."""
        boards: list[dict[str, Any]] = self._ask_with_token({"do": "state"})["boards"]
        return boards

    def fault(self, serial: str, name: str, **arguments: Any) -> None:  # noqa: ANN401 - as the fault takes them
        """Begin a fault, or end it with the arguments that do so, such as `on=False`."""
        self._ask_with_token({"do": "fault", "board": serial, "fault": name, **arguments})

    def clear(self, serial: str) -> None:
        """End all faults of a board, and plug it in if it is unplugged."""
        self._ask_with_token({"do": "clear", "board": serial})

    def log(self, serial: str, since: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the logged control requests from index `since` on, and the index for the next call."""
        answer = self._ask_with_token({"do": "log", "board": serial, "since": since})
        return answer["requests"], answer["next"]

    def plug_disk(self, disk: str, **facts: Any) -> None:  # noqa: ANN401 - as the request takes them
        """Plug in a disk that is no board's stick; `facts` are `socket`, `serial` and `size_bytes`."""
        self._ask_with_token({"do": "plug_disk", "disk": disk, **facts})

    def unplug_disk(self, disk: str) -> None:
        """Unplug a disk that is no board's stick."""
        self._ask_with_token({"do": "unplug_disk", "disk": disk})

    def disks(self) -> dict[str, Any]:
        """Return the true state of each disk that is no board's stick, with the number of changed bytes."""
        disks: dict[str, Any] = self._ask_with_token({"do": "disks"})["disks"]
        return disks

    def quit(self) -> None:
        """End the simulator."""
        self._ask_with_token({"do": "quit"})

    def close(self) -> None:
        """Close the connection; the simulator keeps running."""
        self._is_closed = True
        self._socket.close()

    def _connected(self) -> PeerSocket:
        if self._is_here:
            check_owner(self.port)
        try:
            return PeerSocket((self._address, self.port))
        except (OSError, OverflowError) as error:
            raise SimulatorError(
                f"no simulator answers at management port {self.port}",
                why=getattr(error, "strerror", None) or str(error),
                remedy="start one with `hil sim`, and use the control_port of the line that it prints",
            ) from error

    def _ask_with_token(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self._token:
            self._token = read_token(self.hello())
        return self._ask({**request, "token": self._token})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._exchange(json.dumps(request).encode() + b"\n")
        except (PeerError, ValueError) as error:
            is_peer_error = isinstance(error, PeerError)
            raise SimulatorError(
                f"the simulator at management port {self.port} does not answer",
                why=str(error) if is_peer_error else "the program that listens there is no simulator",
                remedy="start it again, or use the control_port, not the usbip_port, of its first line",
            ) from error
        if not answer.pop("ok"):
            raise SimulatorError(**answer["error"])
        return answer

    def _exchange(self, request: bytes) -> dict[str, Any]:
        with self._lock:
            if self._is_lost and not self._is_closed:
                self._socket, self._is_lost = self._connected(), False
            try:
                self._socket.send(request)
                return _parsed(self._socket.read_line(_LONGEST_ANSWER_BYTES))
            except BaseException:  # a late answer would be taken for that of the next request
                self._socket.close()
                self._is_lost = True
                raise


def _parsed(line: bytes) -> dict[str, Any]:
    """Parse an answer; raise ValueError if it is none."""
    try:
        answer = json.loads(line)
    except RecursionError as error:
        raise ValueError(line) from error
    if not isinstance(answer, dict) or not (answer.get("ok") is True or _is_error(answer)):
        raise ValueError(line)
    return answer


def _is_error(answer: dict[str, Any]) -> bool:
    error = answer.get("error")
    return answer.get("ok") is False and isinstance(error, dict) and error.keys() == {"what", "why", "remedy"}
