"""A user's pattern cannot stop a process, whatever the DUT says; what it finds is what `re` finds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.console.expect import Expecter
from hil.dutlink.console.queues import ByteStream
from hil.dutlink.console.transcript import Chunk
from hil.dutlink.patterns import search as pattern_search
from hil.dutlink.patterns.search import most_steps, search, search_all, trust_pattern
from hil.errors import UsageError
from hil.evidence.error_scanner import ErrorScanner
from tests.support.programs import running

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDLESS = re.compile(rb"(a+)+b")
FLOOD = b"a" * 100
LIMIT_S = 60.0
PATTERNS = [
    rb"x",
    rb"\Ax",
    rb"^x",
    rb"x$",
    rb"x\Z",
    rb"(?<=y)x+",
    rb"(?<!y)x+y",
    rb"(?:x|y)+z",
    rb"\bx",
    rb"(x)(?:y|z)*\1",
    rb".*z",
    rb"x.*?z.*",
    rb"(?i)X+Y",
]


@pytest.fixture
def everything_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave each search to the process."""
    monkeypatch.setattr(pattern_search, "_MOST_STEPS", -1)
    yield
    pattern_search._end_all()


@pytest.mark.usefixtures("everything_elsewhere")
@pytest.mark.parametrize("source", PATTERNS)
@pytest.mark.parametrize("flags", [re.DOTALL, re.MULTILINE])
def test_search_in_the_process_finds_what_re_finds(source: bytes, flags: int) -> None:
    pattern = re.compile(source, flags)

    @given(st.text("xyzXY \n", max_size=20).map(str.encode), st.integers(0, 20), st.sampled_from([0, 5000]))
    def agree(data: bytes, begin: int, before: int) -> None:
        data = b"y" * before + data
        found = pattern.search(data, before + begin)
        assert search(pattern, data, before + begin) == (found.span() if found else None)
        if flags == re.DOTALL:  # each match is asked for
            assert list(search_all(pattern, data)) == [each.span() for each in pattern.finditer(data)]

    agree()


def test_search_error_of_a_slow_pattern_has_a_remedy() -> None:
    with pytest.raises(UsageError, match=r"\(a\+\)\+b' takes too long.*matching 100 bytes of console"):
        search(ENDLESS, FLOOD)


def test_search_with_a_slow_pattern_lets_other_threads_run() -> None:
    turns: list[float] = []
    over = threading.Event()

    def count() -> None:
        while not over.wait(0.01):
            turns.append(time.monotonic())

    counter = threading.Thread(target=count)
    counter.start()
    with pytest.raises(UsageError):
        search(ENDLESS, FLOOD)
    over.set()
    counter.join()

    assert len(turns) > 3  # none while this process searched itself: Python's lock would be taken


def test_expect_with_a_slow_pattern_ends() -> None:
    stream = ByteStream()
    stream.feed(FLOOD + b"xb")  # a pattern that ends in a fixed text is looked for when that came

    with pytest.raises(UsageError, match="takes too long"):
        Expecter(stream).wait_for("(a+)+b", LIMIT_S)


def test_scanner_drops_a_slow_pattern_and_goes_on_with_the_others() -> None:
    watch = ErrorScanner(["(a+)+b", "bad"])
    watch.feed(Chunk(0.0, 0.0, FLOOD + b"\n", 0))
    watch.scan()
    watch.feed(Chunk(0.0, 0.0, FLOOD + b"\nbad\n", len(FLOOD) + 1))
    watch.scan()

    told, found = watch.take_findings()
    assert "'(a+)+b' takes too long; it is not looked for any more" in told.line
    assert (found.name, found.line) == ("bad", "bad")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_process_during_a_slow_search(number: signal.Signals) -> None:
    code = (
        "import signal, sys, threading, time\n"
        "from hil.dutlink.console.transcript import Chunk\n"
        "from hil.evidence.error_scanner import ErrorScanner\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(3))\n"
        "watch = ErrorScanner(['(a+)+b'])\n"
        "watch.feed(Chunk(0.0, 0.0, b'a' * 100, 0))\n"
        "threading.Thread(target=watch.scan, daemon=True).start()\n"
        "print('watches', flush=True)\n"
        "while True: time.sleep(0.1)\n"  # a signal just in front of one long sleep would be found at its end
    )
    with running([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"watches\n"
        process.send_signal(number)

        assert process.wait(LIMIT_S) == 3


@pytest.mark.usefixtures("everything_elsewhere")
def test_search_replaces_a_process_that_was_killed() -> None:
    assert search(ENDLESS, b"ab") == (0, 2)
    (searcher,) = pattern_search._idle
    searcher._process.kill()
    searcher._process.wait()

    assert search(ENDLESS, b"ab") == (0, 2)


@pytest.mark.usefixtures("everything_elsewhere")
def test_search_in_a_forked_child_uses_its_own_process() -> None:
    assert search(ENDLESS, b"ab") == (0, 2)
    child = os.fork()
    if child == 0:
        os._exit(0 if not pattern_search._idle and search(ENDLESS, b"aab") == (0, 3) else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert search(ENDLESS, b"aaab") == (0, 4)


class SeemsIdle(list[Any]):
    """Idle processes of which another thread takes the last between a look and a step."""

    def __bool__(self) -> bool:
        return True


@pytest.mark.usefixtures("everything_elsewhere")
def test_search_starts_a_process_if_another_thread_takes_the_last_idle_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pattern_search, "_idle", SeemsIdle())

    assert search(ENDLESS, b"ab") == (0, 2)


@pytest.mark.usefixtures("everything_elsewhere", "capfd")
def test_search_with_a_pattern_that_prints_itself_finds_what_re_finds() -> None:
    end = b"b" * 5000  # whose dump is more than a buffer of the process holds back

    assert search(re.compile(rb"(a+)+" + end, re.DEBUG), b"xaa" + end) == (1, 5003)


@pytest.mark.parametrize(
    ("source", "few"),
    [
        (rb"login: $", True),
        (rb"(?i)over-?temperature|too hot", True),
        (rb"\[[0-9]{1,6}\.[0-9]{6}\] x", True),
        (rb"\d+", False),
        (rb"(a+)+b", False),
        (rb"(?:ab|c)*d", False),
        (rb"(a?){30}a{30}", False),
        (rb"(\w)\1", False),
    ],
)
def test_most_steps_is_small_for_patterns_that_need_no_process(source: bytes, few: bool) -> None:
    assert (most_steps(re.compile(source), 64 * 1024) <= pattern_search._MOST_STEPS) == few


def test_most_steps_of_a_few_bytes_are_few_for_usual_patterns() -> None:
    assert most_steps(re.compile(rb"\d+ of \d+"), 100) <= pattern_search._MOST_STEPS


def test_trust_pattern_gives_a_pattern_the_cost_of_another() -> None:
    known = trust_pattern(re.compile(rb"(?:known|good)*!"))
    derived = trust_pattern(re.compile(rb"(?:(?:known|good)*!)\Z"), like=known)
    unknown = trust_pattern(re.compile(rb"(?:(a+)+b)\Z"), like=ENDLESS)

    assert [pattern_search._cost_as[each].pattern for each in (known, derived, unknown)] == [
        b"x",
        b"x",
        b"(a+)+b",
    ]
