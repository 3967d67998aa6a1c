"""Matching piece by piece is `re.search` on everything, however the bytes are split."""

from __future__ import annotations

import math
import re
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.dutlink.console.expect import KEPT_BYTES, Expected, Expecter, wait_for_pattern
from hil.dutlink.console.expect_error import describe_last_line
from hil.dutlink.console.queues import ByteStream
from hil.dutlink.console.transcript import Transcript
from hil.dutlink.patterns.incremental_match import IncrementalPattern, compile_pattern, fixed_end, fixed_start
from hil.errors import UsageError

NOISE = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"\0", b"\xff\xc3", b"\x1b[31m", b"\x1b]0;", b"\r", b"\r\r\n", b"\n", b"log", b"login", b"in: "]
    ),
)
STREAMS = st.lists(NOISE, max_size=20)
PATTERNS = [
    "login: ",
    "lo+g",
    "log.*in: ",
    "a|log",
    r"[0-9]+\.",
    "(?i)LOGIN",
    r"\x1b\[31m",
    r"in(?=: )",
    "^log",
    "g$",
    r"\r\n",
    "[^\n]+\n",
    r"in\:",
    "(log)?in: ",
]


def pieces_until(expecter: Expecter, stream: ByteStream, pieces: list[bytes], patterns: list[str]) -> object:
    """Return what is found, and after which piece."""
    for number, piece in enumerate(pieces):
        stream.feed(piece)
        found = expecter.wait_for(patterns, 0)
        if isinstance(found, Expected):
            return number, found.index, found.before, found.group()
    return None


def searched_anew(pieces: list[bytes], patterns: list[str]) -> object:
    """Do the same by pexpect's rules: search all bytes after each piece."""
    for number in range(len(pieces)):
        data = b"".join(pieces[: number + 1])
        hits = [
            (match.start(), index, match)
            for index, p in enumerate(patterns)
            if (match := compile_pattern(p).search(data))
        ]
        if hits:
            begin, index, match = min(hits, key=lambda hit: hit[:2])
            return number, index, data[:begin], match.group()
    return None


def check(pieces: list[bytes], patterns: list[str]) -> None:
    pieces = [piece for piece in pieces if piece]
    stream = ByteStream()

    assert pieces_until(Expecter(stream), stream, pieces, patterns) == searched_anew(pieces, patterns)


@given(STREAMS, st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3))
def test_expect_finds_what_a_search_in_all_bytes_finds(pieces: list[bytes], patterns: list[str]) -> None:
    check(pieces, patterns)


@pytest.mark.thorough
@pytest.mark.timeout(600)
@settings(max_examples=10_000)
@given(STREAMS, st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3))
def test_expect_misses_no_match_in_ten_thousand_streams(pieces: list[bytes], patterns: list[str]) -> None:
    check(pieces, patterns)


@given(STREAMS, st.sampled_from(PATTERNS))
def test_incremental_pattern_finds_what_re_finds_piece_by_piece(pieces: list[bytes], pattern: str) -> None:
    haystack, incremental = bytearray(), IncrementalPattern(compile_pattern(pattern))
    for piece in pieces:
        haystack += piece
        hit, expected = incremental.search(haystack), compile_pattern(pattern).search(haystack)

        assert hit == (expected.span() if expected else None)
        if hit:
            break


@pytest.mark.parametrize(
    ("pattern", "start", "end"),
    [
        ("login: ", b"login: ", b"login: "),
        ("ab*c", b"a", b"c"),
        ("a|b", b"", b""),
        (r"a\x41", b"a", b""),
        (r"a\-", b"a", b"-"),
        ("(?i)a", b"", b""),
        ("a(?=.*b)c", b"a", b""),
        (r"Linux [\d.]+ on", b"Linux ", b" on"),
    ],
)
def test_fixed_start_and_fixed_end_of_patterns(pattern: str, start: bytes, end: bytes) -> None:
    assert (fixed_start(compile_pattern(pattern)), fixed_end(compile_pattern(pattern))) == (start, end)


def test_expect_matches_beyond_the_window_if_the_end_is_fixed() -> None:
    stream = ByteStream()
    expecter = Expecter(stream)
    stream.feed(b"Linux 6.1")
    assert isinstance(expecter.wait_for("Linux.*login: ", 0), bytes)
    stream.feed(b"x" * 300_000)
    stream.feed(b"login: ")

    assert isinstance(expecter.wait_for("Linux.*login: ", 0), Expected)


def test_expect_bounds_unmatched_bytes() -> None:
    haystack_limit = 2 * KEPT_BYTES
    stream = ByteStream()
    expecter = Expecter(stream)
    for _ in range(12):
        stream.feed(b"x" * (1024 * 1024))
        expecter.wait_for("login", 0)

    assert len(expecter._unread) <= haystack_limit
    stream.feed(b"login")
    assert isinstance(expecter.wait_for(re.compile(rb"login"), 0), Expected)


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (r"foo(?=(\w*))", (b"bar",)),
        (r"(foo$)|(foo)", (None, b"foo")),
        (r"(foo\b)|(foo)", (None, b"foo")),
        (r"foo(?!bar)|(foo)", (b"foo",)),
    ],
)
def test_expect_groups_equal_those_of_a_search(pattern: str, groups: tuple[bytes | None, ...]) -> None:
    stream = ByteStream()
    stream.feed(b"a foobar")
    found = Expecter(stream).wait_for(pattern, 0)

    assert isinstance(found, Expected)
    assert found.match.groups() == groups


@pytest.mark.parametrize("timeout_s", [math.inf, 1e12])
def test_expect_accepts_any_timeout(timeout_s: float) -> None:
    stream = ByteStream()
    later = threading.Timer(0.05, stream.feed, [b"login: "])
    later.start()
    found = Expecter(stream).wait_for("login: ", timeout_s)
    later.join()

    assert isinstance(found, Expected)


@pytest.mark.parametrize(
    "nothing",
    [[], 5, None, [5], "password (y/N)? [", b"(", bytearray(b"a"), "\ud800", "a{99999999999}", "(" * 5000],
)
def test_expect_refuses_what_is_no_pattern_at_once(nothing: object) -> None:
    with pytest.raises(UsageError, match="cannot wait for"):
        Expecter(ByteStream()).wait_for(nothing, 1000)  # type: ignore[arg-type]


def test_describe_last_line_cuts_a_long_line_at_its_front() -> None:
    shown = describe_last_line("5a1c0e01", b"one\ntwo\n" + b"x" * 300 + b"end\r\n")

    assert shown == "last line on board 5a1c0e01: '..." + "x" * 54 + "end'"


def test_wait_for_pattern_ignores_bytes_before_its_begin() -> None:
    transcript = Transcript()
    transcript.append(b"old login: ")
    begin = transcript.position
    transcript.append(b"new log")
    transcript.append(b"in: ")

    found = wait_for_pattern(transcript, begin, "login: ", 0.0, lambda: False, check_silent=lambda: None)

    assert isinstance(found, Expected)
    assert found.before == b"new "


def test_wait_for_pattern_ends_if_the_console_is_gone() -> None:
    transcript = Transcript()
    transcript.append(b"half a lo")

    assert (
        wait_for_pattern(transcript, 0, "login: ", 1e9, lambda: True, check_silent=lambda: None)
        == b"half a lo"
    )


def test_wait_for_pattern_keeps_no_more_bytes_than_expect() -> None:
    transcript = Transcript()
    for _ in range(20):
        transcript.append(b"x" * (1 << 20))

    unmatched = wait_for_pattern(transcript, 0, "login: ", 0.3, lambda: False, check_silent=lambda: None)

    assert isinstance(unmatched, bytes)
    assert len(unmatched) <= 8 << 20
