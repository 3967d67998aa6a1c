"""What the controller and the workers of a run tell each other beside xdist, over a unix socket each.

xdist carries node ids and results. The other messages of a schedule by boards are:

    worker -> controller    hello: the worker's name and pid
                            requirements: what each test requires of its board, in the order of collection
                            collected: how many tests of each kind are planned, and which were dropped
                            lost: this board cannot be used
                            busy: another process holds this board, and the worker did not wait
                            fault: what is wrong with a board that answers
                            returned: this test did not run, because its board cannot be used
                            list: which boards are there, for tests that run on each?
                            agree: what this worker found, such as the digest of an image, under a topic
                            mistake: what pytest refuses in the arguments, such as a missing file
    controller -> worker    waited: how long the controller waited for boards
                            listed: the boards, in the same order for all workers
                            agreed: what the first worker sent under that topic
                            words: the names and tags of boards
                            board: this test runs on this board, which is connected to in this way
                            last: release the board after this test
                            interrupted: the controller got Ctrl-C or a CI runner's SIGINT
                            fault: what another worker found wrong with a board

A message is sent before the xdist event to which it belongs, and both ends read all messages that have
arrived before they answer a question. So no answer is older than the event that led to the question. A worker
whose controller has died, in whatever way, sees the end of its socket.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.boards.requirements import BoardRequirement
from hil.suite.xdist.json_socket import JsonSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hil.boards.requirements import KnownWords
    from hil.suite.columns.listed_boards import ListedBoard

__all__ = ["ControllerChannel"]

LONGEST_PATH_BYTES = 100  # sun_path of a unix socket holds 108
HELLO_LIMIT_S = 10.0


class ControllerChannel:
    """The controller's end: a socket in a folder that only this user may enter.

    Args:
        list_boards: Returns the boards of the run; called once, in a thread, if a worker asks.
    """

    def __init__(self, list_boards: Callable[[], Sequence[ListedBoard]] = tuple) -> None:
        self._list_boards = list_boards
        self._listed: dict[str, Any] = {}
        self._agreed: dict[str, Any] = {}
        self._folder = _private_folder()
        self.path = self._folder / "run"
        self._lines: dict[str, JsonSocket] = {}
        self._requirements: dict[str, list[BoardRequirement | None]] = {}
        self._lost: list[str] = []
        self._busy: list[str] = []
        self._faults: list[dict[str, Any]] = []
        self._returned: set[tuple[str, str]] = set()
        self._mistakes: list[str] = []
        self._collected: list[dict[str, Any]] = []
        self._waited_s = 0.0
        self._words: dict[str, Any] = {}
        self._news = threading.Condition()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(os.fspath(self.path))
        self._server.listen(128)
        self._thread = threading.Thread(target=self._accept, name="hil run channel", daemon=True)
        self._thread.start()

    def requirements(
        self, worker: str, limit_s: float = HELLO_LIMIT_S
    ) -> Sequence[BoardRequirement | None] | None:
        """Return the requirement of each test that a worker collected, or None if it sends none in time."""
        with self._news:
            self._news.wait_for(lambda: worker in self._requirements, timeout=limit_s)
            return self._requirements.get(worker)

    def tell_waited(self, seconds: float) -> None:
        """Tell all workers, also later ones, how long the controller waited for boards."""
        self._waited_s = seconds
        for line in list(self._lines.values()):
            line.send({"say": "waited", "seconds": seconds})

    def tell_words(self, words: KnownWords) -> None:
        """Tell all workers the names and tags of boards."""
        self._words = {"say": "words", **words.as_data()}
        for line in list(self._lines.values()):
            line.send(self._words)

    def tell_board(  # noqa: PLR0913 - by keyword
        self,
        worker: str,
        nodeid: str,
        serial: str | None,
        way: str = "",
        *,
        may_wait: bool = False,
        partners: Mapping[str, str] | None = None,
    ) -> None:
        """Tell a worker, before it is sent a test, on which board the test runs.

        Args:
            worker: The worker.
            nodeid: The test.
            serial: The board; None: none is left.
            way: How to connect to a remote board; empty: it is found by its serial number.
            may_wait: The worker may wait for the board: no other test is left.
            partners: The partners of the test, and how to connect to each.
        """
        board = {"say": "board", "test": nodeid, "serial": serial, "way": way, "may_wait": may_wait}
        self._tell(worker, board | {"partners": dict(partners or {})})

    def tell_last(self, worker: str, nodeid: str) -> None:
        """Tell a worker, before a test can begin, to release its board after the test."""
        self._tell(worker, {"say": "last", "test": nodeid})

    def tell_interrupted(self) -> None:
        """Tell all workers that the controller was interrupted."""
        for line in list(self._lines.values()):
            line.send({"say": "interrupted"})

    def take_lost(self) -> list[str]:
        """Return the serial numbers of boards that were reported lost since the last call."""
        for line in list(self._lines.values()):
            line.drain()
        with self._news:
            lost, self._lost = self._lost, []
        return lost

    def take_busy(self) -> list[str]:
        """Return the serial numbers of boards that were reported busy since the last call."""
        for line in list(self._lines.values()):
            line.drain()
        with self._news:
            busy, self._busy = self._busy, []
        return busy

    def take_returned(self, worker: str, nodeid: str) -> bool:
        """Return True, once, if a worker has returned a test that it reports as ended."""
        line = self._lines.get(worker)
        if line is not None:
            line.drain()
        with self._news:
            found = (worker, nodeid) in self._returned
            self._returned.discard((worker, nodeid))
            return found

    def mistakes(self) -> list[str]:
        """Return what workers refused in the arguments of the run."""
        for line in list(self._lines.values()):
            line.drain()
        return self._mistakes

    def take_collected(self) -> list[dict[str, Any]]:
        """Return what ledgers of workers knew after the collection, since the last call."""
        for line in list(self._lines.values()):
            line.drain()
        with self._news:
            collected, self._collected = self._collected, []
        return collected

    def close(self) -> None:
        """Close all connections and remove the folder."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join(timeout=5.0)
        self._server.close()
        for line in self._lines.values():
            line.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self, worker: str, message: dict[str, Any]) -> None:
        line = self._lines.get(worker)
        if line is not None:
            line.send(message)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connected, _ = self._server.accept()
                _Caller(connected, self._heard)

    def _heard(self, caller: _Caller, message: dict[str, Any]) -> None:
        with self._news:
            match message["say"]:
                case "hello":
                    caller.worker, caller.pid = message["worker"], message["pid"]
                    self._greet(caller)
                case "requirements":
                    self._requirements[caller.worker] = [_requirement(plain) for plain in message["tests"]]
                case "lost" | "busy" as how:
                    (self._lost if how == "lost" else self._busy).append(message["serial"])
                case "fault":
                    self._faults.append(message)
                    for worker, line in list(self._lines.items()):
                        if worker != caller.worker:
                            line.send(message)
                case "list" | "agree":
                    caller.line.send(self._answer(message))
                case "collected" | "mistake" as what:
                    kept: list[Any] = self._collected if what == "collected" else self._mistakes
                    kept.append(message["told"])
                case "returned":
                    self._returned.add((caller.worker, message["test"]))
            self._news.notify_all()

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the boards of the run, or what the first worker found: the same for all workers."""
        if message["say"] == "agree":
            topic = message["topic"]
            found = self._agreed.setdefault(topic, message["found"])
            return {"say": "agreed", "topic": topic, "found": found}
        if not self._listed:
            self._listed = {"say": "listed", "boards": [board.as_data() for board in self._list_boards()]}
        return self._listed

    def _greet(self, caller: _Caller) -> None:
        """Send a worker that has just connected what the other workers know already."""
        self._lines[caller.worker] = caller.line
        if self._waited_s:
            caller.line.send({"say": "waited", "seconds": self._waited_s})
        for known in filter(None, (self._words, *self._faults)):
            caller.line.send(known)


class _Caller:
    """A worker that has connected; its first message has its name. When it ends, its guard is woken."""

    def __init__(self, connected: socket.socket, heard: Callable[[_Caller, dict[str, Any]], None]) -> None:
        self.worker = ""
        self.pid = 0
        self._ready = threading.Event()
        self._heard = heard
        self.line = JsonSocket(connected, self._pass_on, self._gone)
        self._ready.set()

    def _pass_on(self, message: dict[str, Any]) -> None:
        # The thread of the socket may be faster than this constructor.
        self._ready.wait(timeout=HELLO_LIMIT_S)
        self._heard(self, message)

    def _gone(self) -> None:
        from hil.lab.locks.stopped_guards import continue_guards_of  # noqa: PLC0415 - at the end of a run, or of a worker

        if self.pid:
            continue_guards_of(self.pid)


def _requirement(plain: dict[str, Any] | None) -> BoardRequirement | None:
    return None if plain is None else BoardRequirement.from_data(plain)


def _private_folder() -> Path:
    """Make a folder that only this user may enter, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="hil-run-"))  # mode 0700
    if len(os.fsencode(folder / "run")) <= LONGEST_PATH_BYTES:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="hil-run-", dir="/tmp"))  # its name is random, its mode 0700
