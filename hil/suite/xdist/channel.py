"""What the controller and the workers of a run tell each other beside xdist, over a unix socket each.

xdist carries node ids and results. This carries what a schedule by boards needs besides:

    worker -> controller    hello: who I am
                            requirements: what each test wants of a board, in the order of collection
                            lost: this board cannot be used
                            busy: another process holds this board, which was not waited for
                            fault: what is wrong with a board that answers
                            returned: this test has not begun, for want of the board that it was given
                            mistake: what pytest refuses in the arguments, such as a file that is not there
    controller -> worker    waited: so long for boards, before it had any to give out
                            words: the names and tags of boards
                            board: this test runs on that one, which is to be had in this way
                            last: after this test the board is free
                            interrupted: the controller was, by Ctrl-C or a runner's SIGINT
                            fault: what another worker found wrong with a board

A message is sent before the xdist event that makes it matter, and both ends read all that has arrived before
they answer a question, so an answer is never older than the event that led to the question. The end of the
line tells a worker that its controller is gone, however it went.
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

from hil.boards.misspelling import KnownWords
from hil.boards.requirements import BoardRequirement
from hil.errors import BoardUnsafeError
from hil.suite.xdist.json_socket import JsonSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.errors import HilError

__all__ = ["ControllerChannel", "WorkerChannel"]

LONGEST_PATH_BYTES = 100  # sun_path of a unix socket holds 108
HELLO_LIMIT_S = 10.0


class ControllerChannel:
    """The controller's end: one line to each worker, met in a folder that only this user may enter."""

    def __init__(self) -> None:
        self._folder = _private_folder()
        self.path = self._folder / "run"
        self._lines: dict[str, JsonSocket] = {}
        self._requirements: dict[str, list[BoardRequirement | None]] = {}
        self._lost: list[str] = []
        self._busy: list[str] = []
        self._faults: list[dict[str, Any]] = []
        self._returned: set[tuple[str, str]] = set()
        self._mistakes: list[str] = []
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
        """What each test collected by that worker wants, in order; None if it doesn't say so in time."""
        with self._news:
            self._news.wait_for(lambda: worker in self._requirements, timeout=limit_s)
            return self._requirements.get(worker)

    def tell_waited(self, seconds: float) -> None:
        """Tell all workers, also those to come, how long boards were waited for that they can be given."""
        self._waited_s = seconds
        for line in list(self._lines.values()):
            line.send({"say": "waited", "seconds": seconds})

    def tell_words(self, words: KnownWords) -> None:
        """Tell all workers by which words boards can be asked for."""
        self._words = {"say": "words", **words.as_data()}
        for line in list(self._lines.values()):
            line.send(self._words)

    def tell_board(
        self, worker: str, nodeid: str, serial: str | None, way: str = "", *, patient: bool = False
    ) -> None:
        """Tell a worker, before it gets that test, which board it runs on, and how to get to it.

        Args:
            worker: The worker.
            nodeid: The test.
            serial: The board; None: none is left.
            way: How to get to it; empty: by its serial number.
            patient: Wait for the board: no other test is left.
        """
        board = {"say": "board", "test": nodeid, "serial": serial, "way": way, "patient": patient}
        self._tell(worker, board)

    def tell_last(self, worker: str, nodeid: str) -> None:
        """Tell a worker, before that test can begin, that its board is free for others after it."""
        self._tell(worker, {"say": "last", "test": nodeid})

    def tell_interrupted(self) -> None:
        """Tell all workers that the controller was interrupted."""
        for line in list(self._lines.values()):
            line.send({"say": "interrupted"})

    def take_lost(self) -> list[str]:
        """Serial numbers of boards reported lost since the last call."""
        for line in list(self._lines.values()):
            line.drain()
        with self._news:
            lost, self._lost = self._lost, []
        return lost

    def take_busy(self) -> list[str]:
        """Serial numbers of boards that another process was reported to hold since the last call."""
        for line in list(self._lines.values()):
            line.drain()
        with self._news:
            busy, self._busy = self._busy, []
        return busy

    def take_returned(self, worker: str, nodeid: str) -> bool:
        """Return True, once, if a worker has said that it did not begin a test that it reports as over."""
        line = self._lines.get(worker)
        if line is not None:
            line.drain()
        with self._news:
            found = (worker, nodeid) in self._returned
            self._returned.discard((worker, nodeid))
            return found

    def mistakes(self) -> list[str]:
        """What workers refused in the run's arguments."""
        for line in list(self._lines.values()):
            line.drain()
        return self._mistakes

    def close(self) -> None:
        """End all lines and remove the folder."""
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
                case "wishes":
                    self._requirements[caller.worker] = [_requirement(plain) for plain in message["wishes"]]
                case "lost" | "busy" as how:
                    (self._lost if how == "lost" else self._busy).append(message["serial"])
                case "fault":
                    self._faults.append(message)
                    for worker, line in list(self._lines.items()):
                        if worker != caller.worker:
                            line.send(message)
                case "mistake":
                    self._mistakes.append(message["text"])
                case "returned":
                    self._returned.add((caller.worker, message["test"]))
            self._news.notify_all()

    def _greet(self, caller: _Caller) -> None:
        """Tell a worker that has just connected what the others know already."""
        self._lines[caller.worker] = caller.line
        if self._waited_s:
            caller.line.send({"say": "waited", "seconds": self._waited_s})
        for known in filter(None, (self._words, *self._faults)):
            caller.line.send(known)


class _Caller:
    """A worker that has connected; it says its name first. One that ends needs its guard."""

    def __init__(self, connected: socket.socket, heard: Callable[[_Caller, dict[str, Any]], None]) -> None:
        self.worker = ""
        self.pid = 0
        self._ready = threading.Event()
        self._heard = heard
        self.line = JsonSocket(connected, self._pass_on, self._gone)
        self._ready.set()

    def _pass_on(self, message: dict[str, Any]) -> None:
        self._ready.wait(timeout=HELLO_LIMIT_S)  # the line's thread may be faster than its constructor
        self._heard(self, message)

    def _gone(self) -> None:
        from hil.lab.locks.stopped_guards import continue_guards_of  # noqa: PLC0415 - at the end of a run, or of a worker

        if self.pid:
            continue_guards_of(self.pid)


class WorkerChannel:
    """A worker's end.

    Args:
        path: The controller's socket.
        worker: The worker's name, as xdist calls it.
        controller_gone: Called once, in a thread of its own, when the controller has ended.
        schedules: Whether the controller gives out boards; if not, the worker finds one for itself.
        interrupted: Called, in any thread, when the controller was interrupted.
    """

    def __init__(
        self,
        path: str | Path,
        worker: str,
        controller_gone: Callable[[], None],
        *,
        schedules: bool = True,
        interrupted: Callable[[], None] = lambda: None,
    ) -> None:
        self.schedules = schedules
        self._interrupted = interrupted
        self._boards: dict[str, str | None] = {}
        self._ways: dict[str, str] = {}
        self._last: set[str] = set()
        self._patient: set[str] = set()
        self._faults: dict[str, HilError] = {}
        self._words = KnownWords()
        self._waited_s = 0.0
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.connect(os.fspath(path))

        def gone() -> None:
            shutil.rmtree(Path(path).parent, ignore_errors=True)  # a killed controller can't
            controller_gone()

        self._line = JsonSocket(connected, self._heard, gone)
        self._line.send({"say": "hello", "worker": worker, "pid": os.getpid()})

    def send_requirements(self, requirements: Sequence[BoardRequirement | None]) -> None:
        """Say what each collected test wants; to be said before xdist says what was collected."""
        plain = [
            requirement and {"tags": sorted(requirement.tags), "board": requirement.board}
            for requirement in requirements
        ]
        self._line.send({"say": "wishes", "wishes": plain})

    def board(self, nodeid: str) -> str | None:
        """Serial number of the board that this worker's test was given; None if it was given none."""
        self._line.drain()
        return self._boards.get(nodeid)

    def is_patient(self, nodeid: str) -> bool:
        """Return True if the board of that test is to be waited for, because no other test is left."""
        self._line.drain()
        return nodeid in self._patient

    def way_to(self, serial: str) -> str:
        """How to get to a board that this worker was given; empty: by its serial number."""
        return self._ways.get(serial, "")

    def waited_s(self) -> float:
        """How long the controller waited for boards, in seconds."""
        self._line.drain()
        return self._waited_s

    def is_last_hardware(self, nodeid: str) -> bool:
        """Whether the worker gives its board back right after that test."""
        self._line.drain()
        return nodeid in self._last

    def lost(self, serial: str) -> None:
        """Say that a board cannot be used, so that no more tests are given to it."""
        self._line.send({"say": "lost", "serial": serial})

    def busy(self, serial: str) -> None:
        """Say that another process holds a board, so that its tests come after all others."""
        self._line.send({"say": "busy", "serial": serial})

    def fault(self, serial: str, error: HilError) -> None:
        """Say what is wrong with a board that answers."""
        told = {"what": error.what, "why": error.why, "remedy": error.remedy}
        self._line.send({"say": "fault", "serial": serial, **told})

    def faults(self) -> dict[str, HilError]:
        """What other workers found wrong with boards, by serial number."""
        self._line.drain()
        return self._faults

    def words(self) -> KnownWords:
        """By which words boards can be asked for, as the controller knows."""
        self._line.drain()
        return self._words

    def send_mistake(self, text: str) -> None:
        """Say what is wrong with the arguments; to be said before xdist says that nothing was collected."""
        self._line.send({"say": "mistake", "text": text})

    def give_test_back(self, nodeid: str) -> None:
        """Say that a test has not begun; to be said before xdist says that it is over."""
        self._line.send({"say": "returned", "test": nodeid})

    def close(self) -> None:
        """End the line without calling `controller_gone`."""
        self._line.close()

    def _heard(self, message: dict[str, Any]) -> None:
        nodeid = message.get("test", "")
        match message["say"]:
            case "waited":
                self._waited_s = message["seconds"]
            case "board":
                serial = self._boards[nodeid] = message["serial"]
                self._ways[serial] = message["way"]
                self._last.discard(nodeid)  # it comes once more
                if message["patient"]:
                    self._patient.add(nodeid)
            case "last":
                self._last.add(nodeid)
            case "interrupted":
                self._interrupted()
            case "words":
                self._words = KnownWords.from_data(message)
            case "fault":
                told = {name: message[name] for name in ("what", "why", "remedy", "serial")}
                self._faults[message["serial"]] = BoardUnsafeError(**told)


def _requirement(plain: dict[str, Any] | None) -> BoardRequirement | None:
    return None if plain is None else BoardRequirement(frozenset(plain["tags"]), plain["board"])


def _private_folder() -> Path:
    """Make a folder that only this user may enter, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="hil-run-"))  # mode 0700
    if len(os.fsencode(folder / "run")) <= LONGEST_PATH_BYTES:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="hil-run-", dir="/tmp"))  # its name is random, its mode 0700
