"""A worker's end of its connection to the controller; `channel` has the messages and the controller's end."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.boards.requirements import KnownWords
from hil.errors import BoardUnsafeError, UsageError
from hil.suite.columns.listed_boards import ListedBoard
from hil.suite.xdist.json_socket import JsonSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.boards.requirements import BoardRequirement
    from hil.errors import HilError

__all__ = ["WorkerChannel"]

LISTING_LIMIT_S = 120.0
"""Seconds in which a controller lists its boards, of which it asks each for its tags, and answers."""


class WorkerChannel:
    """The worker's end.

    Args:
        path: The controller's socket.
        worker: The worker's name in xdist.
        controller_gone: Called once, in a thread of its own, when the controller has ended.
        schedules: Whether the controller gives boards; if not, the worker finds one for itself.
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
        self._partners: dict[str, tuple[str, ...]] = {}
        self._ways: dict[str, str] = {}
        self._last: set[str] = set()
        self._may_wait: set[str] = set()
        self._faults: dict[str, HilError] = {}
        self._words = KnownWords()
        self._waited_s = 0.0
        self._answers: dict[str, dict[str, Any]] = {}
        self._answered = threading.Condition()
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.connect(os.fspath(path))

        def gone() -> None:
            shutil.rmtree(Path(path).parent, ignore_errors=True)  # a killed controller can't
            controller_gone()

        self._line = JsonSocket(connected, self._heard, gone)
        self._line.send({"say": "hello", "worker": worker, "pid": os.getpid()})

    def send_requirements(self, requirements: Sequence[BoardRequirement | None]) -> None:
        """Send the requirement of each collected test, before xdist sends what was collected."""
        plain = [requirement and requirement.as_data() for requirement in requirements]
        self._line.send({"say": "requirements", "tests": plain})

    def listed_boards(self, limit_s: float = LISTING_LIMIT_S) -> list[ListedBoard]:
        """Return the boards that the controller lists for tests that run on each.

        Raises:
            UsageError: The controller did not answer: this worker must not collect other tests than the rest.
        """
        answer = self._ask({"say": "list"}, "listed", "did not list the boards of this run", limit_s)
        return [ListedBoard.from_data(board) for board in answer["boards"]]

    def agree(self, topic: str, found: Any, limit_s: float = LISTING_LIMIT_S) -> Any:  # noqa: ANN401 - plain data
        """Return what the first worker found under a topic, on which all workers thus agree.

        Args:
            topic: What was looked at, such as an image.
            found: What this worker found. Plain data.
            limit_s: How long the controller may take to answer, in seconds.

        Raises:
            UsageError: The controller did not answer: this worker must not flash other images than the rest.
        """
        told = {"say": "agree", "topic": topic, "found": found}
        return self._ask(told, topic, "did not compare the images of its workers", limit_s)["found"]

    def _ask(self, message: dict[str, Any], answer: str, failure: str, limit_s: float) -> dict[str, Any]:
        """Send a message to the controller and return its answer.

        Raises:
            UsageError: The controller did not answer.
        """
        self._line.send(message)
        with self._answered:
            if self._answered.wait_for(lambda: answer in self._answers, limit_s):
                return self._answers[answer]
        raise UsageError(
            f"the controller {failure}",
            why=f"it did not answer for {limit_s:g} s",
            remedy="run again; list the boards in a lab file, or run without -n",
        )

    def send_collected(self, ledger: dict[str, Any]) -> None:
        """Send what the ledger knows after the collection: a worker that is killed sends no other."""
        self._line.send({"say": "collected", "told": ledger})

    def board(self, nodeid: str) -> str | None:
        """Return the serial number of the board that the controller gave to a test, or None."""
        self._line.drain()
        return self._boards.get(nodeid)

    def partners(self, nodeid: str) -> tuple[str, ...]:
        """Return the partners that the controller gave to a test."""
        self._line.drain()
        return self._partners.get(nodeid, ())

    def may_wait(self, nodeid: str) -> bool:
        """Return True if the worker may wait for the board of a test, because no other test is left."""
        self._line.drain()
        return nodeid in self._may_wait

    def way_to(self, serial: str) -> str:
        """Return how to connect to a remote board that was given to this worker; empty: it is local."""
        return self._ways.get(serial, "")

    def waited_s(self) -> float:
        """Return how long the controller waited for boards, in seconds."""
        self._line.drain()
        return self._waited_s

    def is_last_hardware(self, nodeid: str) -> bool:
        """Return True if the worker is to release its board after a test."""
        self._line.drain()
        return nodeid in self._last

    def lost(self, serial: str) -> None:
        """Report that a board cannot be used: it gets no more tests."""
        self._line.send({"say": "lost", "serial": serial})

    def busy(self, serial: str) -> None:
        """Report that another process holds a board: its tests come after all others."""
        self._line.send({"say": "busy", "serial": serial})

    def fault(self, serial: str, error: HilError) -> None:
        """Report what is wrong with a board that answers."""
        told = {"what": error.what, "why": error.why, "remedy": error.remedy}
        self._line.send({"say": "fault", "serial": serial, **told})

    def faults(self) -> dict[str, HilError]:
        """Return what other workers found wrong with boards, by serial number."""
        self._line.drain()
        return self._faults

    def words(self) -> KnownWords:
        """Return the names and tags of boards that the controller knows."""
        self._line.drain()
        return self._words

    def send_mistake(self, text: str) -> None:
        """Send what is wrong with the arguments, before xdist sends that nothing was collected."""
        self._line.send({"say": "mistake", "told": text})

    def return_test(self, nodeid: str) -> None:
        """Return a test without running it; call this before xdist reports the test as ended."""
        self._line.send({"say": "returned", "test": nodeid})

    def close(self) -> None:
        """Close the connection without calling `controller_gone`."""
        self._line.close()

    def _heard(self, message: dict[str, Any]) -> None:
        nodeid = message.get("test", "")
        match message["say"]:
            case "waited":
                self._waited_s = message["seconds"]
            case "board":
                serial = self._boards[nodeid] = message["serial"]
                self._partners[nodeid] = tuple(message["partners"])
                self._ways |= message["partners"]
                self._ways[serial] = message["way"]
                self._last.discard(nodeid)  # it comes once more
                if message["may_wait"]:
                    self._may_wait.add(nodeid)
            case "last":
                self._last.add(nodeid)
            case "interrupted":
                self._interrupted()
            case "listed" | "agreed" as answer:
                with self._answered:
                    self._answers[message.get("topic", answer)] = message
                    self._answered.notify_all()
            case "words":
                self._words = KnownWords.from_data(message)
            case "fault":
                told = {name: message[name] for name in ("what", "why", "remedy", "serial")}
                self._faults[message["serial"]] = BoardUnsafeError(**told)
