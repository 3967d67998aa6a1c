from __future__ import annotations

import fcntl
import os
import re
import termios
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from fake_tty import FakeTty

from hil import errors
from hil.dutlink.console import port
from hil.dutlink.console.console import Console
from hil.dutlink.console.tty import Tty
from hil.dutlink.timing import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def other_end() -> Iterator[FakeTty]:
    end = FakeTty()
    yield end
    end.unplug()


@pytest.fixture
def make() -> Iterator[Callable[..., Console]]:
    with ExitStack() as stack:

        def make(end: FakeTty, *, is_board: bool = True, unpowered: bool = False) -> Console:
            tty = Tty(end.path, is_board=is_board)
            console = Console("5a1c0e01", lambda: tty, Tty(end.path), unpowered=lambda: unpowered)
            stack.callback(console.close)
            return console

        yield make


@pytest.fixture
def opened(other_end: FakeTty, make: Callable[..., Console]) -> Console:
    return make(other_end, is_board=False).open()


def test_what_the_dut_says_can_be_expected(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"Linux 6.1\r\nlogin: ")

    expected = opened.expect(r"Linux ([0-9.]+).*login: ", timeout_s=5)

    assert (expected.text(1), expected.before, expected.index) == ("6.1", b"", 0)


def test_of_several_patterns_the_one_that_came_is_told(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"Kernel panic")

    assert opened.expect(["login: ", rb"panic", re.compile("PANIC")], timeout_s=5).index == 1


def test_a_compiled_pattern_keeps_its_flags(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"LOGIN: ")

    assert opened.expect(re.compile("login: ", re.IGNORECASE), timeout_s=5).group() == b"LOGIN: "


def test_what_comes_behind_a_match_is_kept_for_the_next(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"one two")
    opened.expect("one", timeout_s=5)

    assert opened.expect("two", timeout_s=5).before == b" "


def test_what_did_not_come_is_named_with_what_came_instead(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"U-Boot\x1b")
    opened.expect("Boot", timeout_s=5)

    with pytest.raises(errors.ExpectError) as caught:
        opened.expect("login: ", timeout_s=0.1)

    assert "'login: '" in caught.value.what
    assert "0.1 s" in caught.value.what
    assert r"\x1b" in caught.value.why


def test_what_was_discarded_cannot_be_expected(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"login: ")
    until(lambda: len(opened.transcript) == 7, 60)

    opened.discard()

    with pytest.raises(errors.ExpectError, match="nothing came"):
        opened.expect("login: ", timeout_s=0.1)


def test_every_byte_is_in_the_transcript_though_nobody_looked(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"first ")
    until(lambda: len(opened.transcript) == 6, 60)
    other_end.say(b"second")

    assert until(lambda: opened.transcript.text == "first second", 60)
    assert opened.transcript.chunks[0].monotonic_s <= opened.transcript.chunks[1].monotonic_s


def test_all_bytes_are_sent_however_many(opened: Console, other_end: FakeTty) -> None:
    data = bytes(range(3, 128)) * 1000

    opened.send(data)

    assert until(lambda: bytes(other_end.dut) == data, 60)


def test_a_line_ends_as_the_enter_key_does(opened: Console, other_end: FakeTty) -> None:
    opened.sendline("root")

    assert until(lambda: bytes(other_end.dut) == b"root\r", 60)


def test_a_tty_in_its_default_mode_is_made_raw_before_it_is_read(
    other_end: FakeTty, make: Callable[..., Console]
) -> None:
    slave = os.open(other_end.path, os.O_RDWR | os.O_NOCTTY)
    attributes = termios.tcgetattr(slave)
    attributes[3] |= termios.ECHO | termios.ICANON
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    os.close(slave)

    opened = make(other_end, is_board=False).open()
    other_end.say(b"no line end")

    assert opened.expect("end", timeout_s=5)
    assert not other_end.dut


def test_a_second_opener_is_told_that_it_is_busy(
    opened: Console, other_end: FakeTty, make: Callable[..., Console]
) -> None:
    assert opened.is_open

    with pytest.raises(errors.ConsoleBusyError, match=re.escape(str(other_end.path))):
        make(other_end).open()


def test_a_tty_that_somebody_locked_is_busy(other_end: FakeTty, make: Callable[..., Console]) -> None:
    descriptor = os.open(other_end.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    with pytest.raises(errors.ConsoleBusyError):
        make(other_end).open()

    os.close(descriptor)


def test_a_tty_that_is_not_there_is_missing_and_a_missing_file(tmp_path: Path) -> None:
    opened = Console("5a1c0e01", lambda: Tty(tmp_path / "none"), Tty(tmp_path / "none"))

    with pytest.raises(FileNotFoundError) as caught:
        opened.open(wait_s=0.0)

    assert isinstance(caught.value, errors.ConsoleMissingError)


def test_a_tty_that_appears_soon_is_waited_for(tmp_path: Path, other_end: FakeTty) -> None:
    link = tmp_path / "tty"
    opened = Console("5a1c0e01", lambda: Tty(link, is_board=False), Tty(link))
    threading.Timer(0.2, link.symlink_to, [other_end.path]).start()

    with opened:
        assert opened.is_open


def test_unplugging_ends_a_wait_at_once(opened: Console, other_end: FakeTty) -> None:
    threading.Timer(0.1, other_end.unplug).start()

    with pytest.raises(errors.ConsoleLostError):
        opened.expect("login: ", timeout_s=20)


def test_what_came_before_it_was_lost_can_still_be_expected(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"Oops")
    until(lambda: len(opened.transcript) == 4, 60)
    other_end.unplug()

    assert opened.expect("Oops", timeout_s=5)


def test_sending_to_a_lost_console_says_so(opened: Console, other_end: FakeTty) -> None:
    other_end.unplug()

    with pytest.raises(errors.ConsoleLostError):
        opened.expect("anything", timeout_s=5)
    with pytest.raises(errors.ConsoleLostError):
        opened.send(b"x")


def test_a_lost_console_can_be_opened_again(opened: Console, other_end: FakeTty) -> None:
    other_end.unplug()
    with pytest.raises(errors.ConsoleLostError):
        opened.expect("anything", timeout_s=5)
    another = FakeTty()
    opened._connection._find = lambda: Tty(another.path, is_board=False)

    opened.open()
    another.say(b"login: ")

    assert opened.expect("login: ", timeout_s=5)
    another.unplug()


def test_a_tty_that_takes_nothing_more_is_named(
    opened: Console, other_end: FakeTty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "WRITE_LIMIT_S", 0.2)
    other_end.stuck = True

    with pytest.raises(errors.ConsoleError, match="took no more bytes"):
        opened.send(b"x" * 1_000_000)


def test_the_transcript_stays_after_closing(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"login: ")
    opened.expect("login: ", timeout_s=5)

    opened.close()

    assert opened.transcript.text == "login: "
    assert not opened.is_open


def test_the_tty_is_told_open_or_not(opened: Console, other_end: FakeTty) -> None:
    while_open = opened.tty.path

    opened.close()

    assert while_open == opened.tty.path == other_end.path


def test_drain_returns_when_the_transcript_has_all_that_came_before_the_call(
    opened: Console, other_end: FakeTty
) -> None:
    for number in range(200):
        other_end.say(b"%d " % number)
        drained(other_end)
        opened.drain()

        assert opened.transcript.text.endswith(f"{number} ")


def drained(other_end: FakeTty) -> None:
    """Wait until the kernel has handed on what was written; it does so in a thread of its own."""
    termios.tcdrain(other_end._board)


def test_many_small_pieces_come_whole_and_in_order(opened: Console, other_end: FakeTty) -> None:
    pieces = [b"%06d," % number for number in range(2000)]
    for piece in pieces:
        other_end.say(piece)

    opened.expect("001999,", timeout_s=20)
    assert opened.transcript.data == b"".join(pieces)


def test_a_console_that_speaks_faster_than_it_is_read_loses_nothing(
    opened: Console, other_end: FakeTty
) -> None:
    def speak() -> None:
        for number in range(40):
            other_end.say(b"x" * 250_000 + b"mark %d." % number)

    speaker = threading.Thread(target=speak)
    speaker.start()

    found = [int(opened.expect("mark ([0-9]+)[.]", timeout_s=60).group(1)) for _ in range(40)]
    speaker.join()

    assert found == list(range(40))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_dies_ends_whoever_waits(opened: Console, other_end: FakeTty) -> None:
    def die(_event: object) -> None:
        raise RuntimeError

    opened.transcript.listen(die)
    other_end.say(b"x")

    with pytest.raises(errors.ConsoleLostError):
        opened.expect("never", timeout_s=20)


def test_the_transcript_tells_when_the_console_went_away_and_came_back(
    opened: Console, other_end: FakeTty
) -> None:
    other_end.unplug()
    with pytest.raises(errors.ConsoleLostError):
        opened.expect("anything", timeout_s=5)
    another = FakeTty()
    opened._connection._find = lambda: Tty(another.path, is_board=False)
    opened.open()
    opened.close()
    another.unplug()

    said = [mark.text.rpartition("/")[2].split(" ", 1)[1] for mark in opened.transcript.marks]
    assert said == ["is open", "went away", "is open"]


def test_a_console_that_went_away_is_told_to_who_asks(opened: Console, other_end: FakeTty) -> None:
    opened.check()
    other_end.unplug()
    with pytest.raises(errors.ConsoleLostError):
        opened.expect("anything", timeout_s=5)

    with pytest.raises(errors.ConsoleLostError):
        opened.check()


def test_what_is_shown_of_the_dut_in_an_error_is_plain(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"\x1b]0;evil\x07\x1b[2Jlogged \x1b[31min\x1b[0m\xff")
    until(lambda: len(opened.transcript) > 30, 60)

    with pytest.raises(errors.ExpectError) as caught:
        opened.expect("never", timeout_s=0.1)

    assert "\x1b" not in str(caught.value)
    assert r"\x1b]0;evil\x07logged in" in caught.value.why


def test_where_all_was_matched_an_error_tells_what_came_before(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"booting\r\nlogin: ")
    opened.expect("login: ", timeout_s=5)

    with pytest.raises(errors.ExpectError, match=r"nothing came on board .* after 'login:'"):
        opened.expect("Password: ", timeout_s=0.1)
