"""Talks to the control port of a running simulator."""

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
"""Of twenty thousand requests, as a log keeps them, with all of their data: 170 MB."""


class ManagementClient:
    """The truth about simulated boards, and their faults.

    Safe for threads: one request at a time. After a request that failed or was interrupted, the next one
    connects again. A `with` block closes it.

    Args:
        port: The control port, from the ready line.
        address: Of the machine that simulates; a virtual machine has its host at another one than loopback.
        token: Of the ready line; empty: read from the simulator's folder when a request first needs it.

    Raises:
        SimulatorError: No simulator answers there, or it is another user's; from every method too.
    """

    def __init__(self, port: int, address: str = _LOOPBACK, token: str = "") -> None:
        self.port = port
        self._is_here = address == _LOOPBACK
        self._token = token
        self._address = address
        self._lock = threading.Lock()
        self._socket = self._connected()
        self._is_lost = self._is_closed = False
        self._ask({"do": "hello", "token": token})  # a connection that says nothing would be hung up on

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hello(self) -> dict[str, Any]:
        """Return the ready line's object, without its token.

        Raises:
            SimulatorError: A folder that it names belongs to another user.
        """
        ready = self._ask({"do": "hello"})
        if self._is_here:
            check_folders(ready)
        return ready

    def state(self, serial: str) -> dict[str, Any]:
        """Return the truth about one board, its DUT and its stick."""
        boards: list[dict[str, Any]] = self._ask_with_token({"do": "state", "board": serial})["boards"]
        return boards[0]

    def states(self) -> list[dict[str, Any]]:
        """Return the truth about all boards."""
        boards: list[dict[str, Any]] = self._ask_with_token({"do": "state"})["boards"]
        return boards

    def fault(self, serial: str, name: str, **arguments: Any) -> None:  # noqa: ANN401 - as the fault takes them
        """Begin a fault, or end one by its arguments."""
        self._ask_with_token({"do": "fault", "board": serial, "fault": name, **arguments})

    def clear(self, serial: str) -> None:
        """End every fault of a board; it is plugged in again if it was not."""
        self._ask_with_token({"do": "clear", "board": serial})

    def log(self, serial: str, since: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the control requests from index `since` on, and the index to ask for next."""
        answer = self._ask_with_token({"do": "log", "board": serial, "since": since})
        return answer["requests"], answer["next"]

    def plug_disk(self, disk: str, **facts: Any) -> None:  # noqa: ANN401 - as the port takes them
        """Plug in a disk that belongs to no board; `facts` are `socket`, `serial` and `size_bytes`."""
        self._ask_with_token({"do": "plug_disk", "disk": disk, **facts})

    def unplug_disk(self, disk: str) -> None:
        """Pull out a disk that belongs to no board."""
        self._ask_with_token({"do": "unplug_disk", "disk": disk})

    def disks(self) -> dict[str, Any]:
        """Return the truth about the disks that belong to no board, such as how many bytes were changed."""
        disks: dict[str, Any] = self._ask_with_token({"do": "disks"})["disks"]
        return disks

    def quit(self) -> None:
        """End the simulator."""
        self._ask_with_token({"do": "quit"})

    def close(self) -> None:
        """Hang up; the simulator goes on."""
        self._is_closed = True
        self._socket.close()

    def _connected(self) -> PeerSocket:
        if self._is_here:
            check_owner(self.port)
        try:
            return PeerSocket((self._address, self.port))
        except (OSError, OverflowError) as error:
            raise SimulatorError(
                f"no simulator answers at control port {self.port}",
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
            told = isinstance(error, PeerError)
            raise SimulatorError(
                f"the simulator at control port {self.port} does not answer",
                why=str(error) if told else "what listens there says nothing that a simulator says",
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
    """Read an answer; raises ValueError for what is none."""
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
