"""The part of a random suite that runs inside of it: its steps, and what it tells the desk outside.

A pytest plugin, too: it tells which tests begin and end in which process, and every report of the first one.
It shares nothing with `hil`.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_TOO_LONG_S = 60.0

_lines: dict[int, Any] = {}
_turn = threading.Lock()
_numbers = itertools.count()


def tell(what: str, **facts: Any) -> dict[str, Any]:
    """Tell the desk, and wait until it has done what it does at this point."""
    with _turn:
        line = _lines.get(os.getpid())
        if line is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(os.environ["LAWS_DESK"])
            line = _lines[os.getpid()] = connection.makefile("rw")
        line.write(json.dumps({"what": what, "pid": os.getpid(), **facts}) + "\n")
        line.flush()
        answer: dict[str, Any] = json.loads(line.readline())
        return answer


class Made:
    """The value of a fixture: one that knows what it rests on."""

    def __init__(self, name: str, rests_on: Any) -> None:
        self.name = name
        self.rests_on = rests_on
        self.number = f"{os.getpid()}-{next(_numbers)}"

    @property
    def all(self) -> list[str]:
        """Its number, and those of the fixtures below."""
        below = self.rests_on.all if isinstance(self.rests_on, Made) else []
        return [self.number, *below]


def fixture(name: str, rests_on: Any, setup: tuple[str, ...], teardown: tuple[str, ...]) -> Iterator[Any]:
    """Carry out a fixture; one that overrides `dutlink` hands the board out, all others a `Made`."""
    made = Made(name, rests_on)
    tell("setup", name=name, number=made.number)
    for step in setup:
        do(step, rests_on, name)
    tell("made", name=name, number=made.number)
    yield rests_on if name == "dutlink" else made
    tell("teardown", name=name, number=made.number)
    for step in teardown:
        do(step, rests_on, name)


def body(nodeid: str, steps: tuple[str, ...], *values: Any) -> None:
    """Carry out a test's body."""
    numbers = [number for value in values if isinstance(value, Made) for number in value.all]
    tell("body", test=nodeid, made=numbers)
    for number, step in enumerate(steps):
        tell("step", test=nodeid, number=number, step=step)
        do(step, values[0] if values else None, nodeid)
    tell("body over", test=nodeid)


def do(step: str, thing: Any, where: str) -> None:
    """Do one step with a board, or with a part of one."""
    if step in _WITH_PART:
        part, verb, *arguments = _WITH_PART[step]
        getattr(_part(thing, part), verb)(*arguments)
    elif step == "fail":
        assert step == "pass", "a failure of the test's own"
    elif step == "fail_once":
        assert tell("attempt", name=where)["times"] > 1, "a failure of the first attempt"
    elif step == "typo":
        open("no-such-file.txt").close()  # noqa: PTH123
    elif step == "raise":
        tell("raises", name=where)
        raise RuntimeError(f"the tear-down of {where} fails")
    elif step == "hang":
        tell("raises", name=where)
        time.sleep(_TOO_LONG_S)
    elif step == "thread":
        threading.Thread(target=_left_behind, args=(_part(thing, "power"),), daemon=True).start()
    elif step.startswith("usb:"):
        _raise_usb(int(step.partition(":")[2]))
    else:
        raise NotImplementedError(step)


_WITH_PART: dict[str, tuple[Any, ...]] = {
    "on": ("power", "force_on"),
    "start": ("power", "on", False),
    "off": ("power", "force_off"),
    "read": ("power", "read"),
    "pin": ("pins", "high", "a"),
    "float": ("pins", "floating", "a"),
    "host": ("storage", "host"),
    "dut": ("storage", "dut"),
    "settings": ("settings", "read"),
}


def _part(thing: Any, name: str) -> Any:
    """Return a board's part: of the board, of what rests on it, or the part itself."""
    while isinstance(thing, Made):
        thing = thing.rests_on
    return getattr(thing, name, thing) if hasattr(thing, "serial") else thing


def _raise_usb(number: int) -> None:
    import usb.core  # noqa: PLC0415

    kind = usb.core.USBTimeoutError if number == errno.ETIMEDOUT else usb.core.USBError
    raise kind(os.strerror(number), None, number)


def _left_behind(power: Any) -> None:
    """Go on with a board after its test is over."""
    for _ in range(8):
        time.sleep(0.1)
        try:
            power.force_on()
        except Exception:  # noqa: BLE001 - refused, as it should be
            return


def _is_first(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


class Teller:
    """Tells what pytest does.

    Args:
        first: Whether this is the run's first process, which gets all reports.
    """

    def __init__(self, *, first: bool) -> None:
        self._first = first

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins, if this process runs it."""
        tell("logstart", test=nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Tell begin and end of all that belongs to a test."""
        tell("before", test=item.nodeid)
        try:
            return (yield)
        finally:
            tell("after", test=item.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell a report, as it reaches the first process."""
        if self._first:
            facts = {name: str(value) for name, value in report.user_properties if name.startswith("hil_")}
            told = {"when": report.when, "outcome": report.outcome, "text": report.longreprtext[-600:]}
            tell("report", test=report.nodeid, wasxfail=hasattr(report, "wasxfail"), facts=facts, **told)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell which tests are to run; workers collect the same ones."""
        kinds = {item.nodeid: [mark.name for mark in item.iter_markers()] for item in session.items}
        tell("collected", tests=kinds)


def pytest_configure(config: pytest.Config) -> None:
    """Take part."""
    config.pluginmanager.register(Teller(first=_is_first(config)), "laws-teller")
