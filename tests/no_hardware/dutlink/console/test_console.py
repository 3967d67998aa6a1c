from __future__ import annotations

import fcntl
import os
import re
import termios
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hil import errors
from hil.dutlink.console import port
from hil.dutlink.console.console import Console
from hil.dutlink.console.tty import Tty
from hil.dutlink.timing import until
from tests.support.fake_tty import FakeTty

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


def test_expect_returns_what_the_dut_prints(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"Linux 6.1\r\nlogin: ")

    expected = opened.expect(r"Linux ([0-9.]+).*login: ", timeout_s=5)

    assert (expected.text(1), expected.before, expected.index) == ("6.1", b"", 0)


def test_expect_returns_the_index_of_the_pattern_that_matched(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"Kernel panic")

    assert opened.expect(["login: ", rb"panic", re.compile("PANIC")], timeout_s=5).index == 1


def test_expect_keeps_the_flags_of_a_compiled_pattern(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"LOGIN: ")

    assert opened.expect(re.compile("login: ", re.IGNORECASE), timeout_s=5).group() == b"LOGIN: "


def test_expect_keeps_bytes_after_a_match_for_the_next(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"one two")
    opened.expect("one", timeout_s=5)

    assert opened.expect("two", timeout_s=5).before == b" "


def test_expect_error_names_the_pattern_and_the_last_line(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"U-Boot\x1b")
    opened.expect("Boot", timeout_s=5)

    with pytest.raises(errors.ExpectError) as caught:
        opened.expect("login: ", timeout_s=0.1)

    assert "'login: '" in caught.value.what
    assert "0.1 s" in caught.value.what
    assert r"\x1b" in caught.value.why


def test_discard_hides_earlier_bytes_from_expect(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"login: ")
    until(lambda: len(opened.transcript) == 7, 60)

    opened.discard()

    with pytest.raises(errors.ExpectError, match="nothing came"):
        opened.expect("login: ", timeout_s=0.1)


def test_transcript_has_bytes_that_no_expect_read(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"first ")
    until(lambda: len(opened.transcript) == 6, 60)
    other_end.say(b"second")

    assert until(lambda: opened.transcript.text == "first second", 60)
    assert opened.transcript.chunks[0].monotonic_s <= opened.transcript.chunks[1].monotonic_s


def test_send_sends_all_of_many_bytes(opened: Console, other_end: FakeTty) -> None:
    data = bytes(range(3, 128)) * 1000

    opened.send(data)

    assert until(lambda: bytes(other_end.dut) == data, 60)


def test_sendline_ends_with_cr(opened: Console, other_end: FakeTty) -> None:
    opened.sendline("root")

    assert until(lambda: bytes(other_end.dut) == b"root\r", 60)


def test_open_makes_the_tty_raw_before_the_first_read(
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


def test_open_of_an_open_tty_raises_console_busy_error(
    opened: Console, other_end: FakeTty, make: Callable[..., Console]
) -> None:
    assert opened.is_open

    with pytest.raises(errors.ConsoleBusyError, match=re.escape(str(other_end.path))):
        make(other_end).open()


def test_open_of_a_locked_tty_raises_console_busy_error(
    other_end: FakeTty, make: Callable[..., Console]
) -> None:
    descriptor = os.open(other_end.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    with pytest.raises(errors.ConsoleBusyError):
        make(other_end).open()

    os.close(descriptor)


def test_open_of_a_missing_tty_raises_console_missing_error(tmp_path: Path) -> None:
    opened = Console("5a1c0e01", lambda: Tty(tmp_path / "none"), Tty(tmp_path / "none"))

    with pytest.raises(FileNotFoundError) as caught:
        opened.open(wait_s=0.0)

    assert isinstance(caught.value, errors.ConsoleMissingError)


def test_open_waits_for_a_tty_that_appears_soon(tmp_path: Path, other_end: FakeTty) -> None:
    link = tmp_path / "tty"
    opened = Console("5a1c0e01", lambda: Tty(link, is_board=False), Tty(link))
    threading.Timer(0.2, link.symlink_to, [other_end.path]).start()

    with opened:
        assert opened.is_open


def test_expect_ends_when_the_tty_goes_away(opened: Console, other_end: FakeTty) -> None:
    threading.Timer(0.1, other_end.unplug).start()

    with pytest.raises(errors.ConsoleLostError):
        opened.expect("login: ", timeout_s=20)


def test_expect_finds_bytes_from_before_the_tty_went_away(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"Oops")
    until(lambda: len(opened.transcript) == 4, 60)
    other_end.unplug()

    assert opened.expect("Oops", timeout_s=5)


def test_send_to_a_lost_console_raises_console_lost_error(opened: Console, other_end: FakeTty) -> None:
    other_end.unplug()

    with pytest.raises(errors.ConsoleLostError):
        opened.expect("anything", timeout_s=5)
    with pytest.raises(errors.ConsoleLostError):
        opened.send(b"x")


def test_open_works_again_after_the_tty_went_away(opened: Console, other_end: FakeTty) -> None:
    other_end.unplug()
    with pytest.raises(errors.ConsoleLostError):
        opened.expect("anything", timeout_s=5)
    another = FakeTty()
    opened._connection._find = lambda: Tty(another.path, is_board=False)

    opened.open()
    another.say(b"login: ")

    assert opened.expect("login: ", timeout_s=5)
    another.unplug()


def test_send_error_names_a_tty_that_takes_no_bytes(
    opened: Console, other_end: FakeTty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "WRITE_LIMIT_S", 0.2)
    other_end.stuck = True

    with pytest.raises(errors.ConsoleError, match="took no more bytes"):
        opened.send(b"x" * 1_000_000)


def test_close_keeps_the_transcript(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"login: ")
    opened.expect("login: ", timeout_s=5)

    opened.close()

    assert opened.transcript.text == "login: "
    assert not opened.is_open


def test_tty_is_known_whether_it_is_open_or_not(opened: Console, other_end: FakeTty) -> None:
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


def test_expect_gets_many_small_pieces_in_order(opened: Console, other_end: FakeTty) -> None:
    pieces = [b"%06d," % number for number in range(2000)]
    for piece in pieces:
        other_end.say(piece)

    opened.expect("001999,", timeout_s=20)
    assert opened.transcript.data == b"".join(pieces)


def test_reader_loses_nothing_of_a_fast_console(opened: Console, other_end: FakeTty) -> None:
    def speak() -> None:
        for number in range(40):
            other_end.say(b"x" * 250_000 + b"mark %d." % number)

    speaker = threading.Thread(target=speak)
    speaker.start()

    found = [int(opened.expect("mark ([0-9]+)[.]", timeout_s=60).group(1)) for _ in range(40)]
    speaker.join()

    assert found == list(range(40))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_reader_that_fails_ends_waits(opened: Console, other_end: FakeTty) -> None:
    def die(_event: object) -> None:
        raise RuntimeError

    opened.transcript.listen(die)
    other_end.say(b"x")

    with pytest.raises(errors.ConsoleLostError):
        opened.expect("never", timeout_s=20)


def test_transcript_notes_when_the_tty_goes_away_and_comes_back(opened: Console, other_end: FakeTty) -> None:
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


def test_check_raises_if_the_tty_went_away(opened: Console, other_end: FakeTty) -> None:
    opened.check()
    other_end.unplug()
    with pytest.raises(errors.ConsoleLostError):
        opened.expect("anything", timeout_s=5)

    with pytest.raises(errors.ConsoleLostError):
        opened.check()


def test_expect_error_sanitizes_the_dut_s_output(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"\x1b]0;evil\x07\x1b[2Jlogged \x1b[31min\x1b[0m\xff")
    until(lambda: len(opened.transcript) > 30, 60)

    with pytest.raises(errors.ExpectError) as caught:
        opened.expect("never", timeout_s=0.1)

    assert "\x1b" not in str(caught.value)
    assert r"\x1b]0;evil\x07logged in" in caught.value.why


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (b"[    1.000000] eth0: link up\r\nlogin: root\r\n# ", "the DUT waits at a prompt"),
        (b"dut login: ", "the DUT waits at a prompt"),
        (b"[    1.000000] eth0: link down\r\n", "compare the pattern"),
        (b"U-Boot\r\nboot> ", "storage.flash(IMAGE), storage.dut() and power.cycle()"),
    ],
)
def test_expect_error_advises_by_what_the_dut_said_last(
    said: bytes, advice: str, opened: Console, other_end: FakeTty
) -> None:
    other_end.say(said)
    until(lambda: len(opened.transcript) == len(said), 60)

    with pytest.raises(errors.ExpectError) as raised:
        opened.expect("eth1: link up", timeout_s=0.01)

    assert raised.value.remedy.startswith(advice)


@pytest.mark.parametrize(("prompt", "advice"), [("# ", "the DUT waits"), ("boot> ", "power.cycle() boots")])
def test_expect_error_of_a_silent_dut_tells_to_boot_it_unless_it_waits_at_a_prompt(
    prompt: str, advice: str, opened: Console, other_end: FakeTty
) -> None:
    other_end.say(prompt.encode())
    opened.expect(prompt, timeout_s=60)

    with pytest.raises(errors.ExpectError) as raised:
        opened.expect("eth0: link up", timeout_s=0.01)

    assert raised.value.remedy.startswith(advice)


def test_expect_error_shows_earlier_output_if_all_was_matched(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"booting\r\nlogin: ")
    opened.expect("login: ", timeout_s=5)

    with pytest.raises(errors.ExpectError, match=r"nothing came on board .* after 'login:'"):
        opened.expect("Password: ", timeout_s=0.1)
