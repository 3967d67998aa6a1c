from __future__ import annotations

import re

import pytest

from hil.dutlink.console.allowlist import ExpectedTrouble, Finding, patterns_of_words, says
from hil.dutlink.console.transcript import Transcript
from hil.errors import UsageError

PANIC = re.compile(rb"(?i:kernel panic)")
LINE = "[  3.1] Kernel panic - not syncing: VFS"


def finding(position: int = 0) -> Finding:
    return Finding("kernel panic", PANIC, LINE, position, 0.0)


@pytest.fixture
def expected() -> ExpectedTrouble:
    return ExpectedTrouble(Transcript())


@pytest.mark.parametrize(
    ("words", "said"),
    [(("panic",), True), (("PANIC",), True), (("not syncing",), True), (("oops", "VFS$"), True), ((), True)],
)
def test_words_are_looked_for_in_kind_and_line(words: tuple[str, ...], said: bool) -> None:
    assert says(patterns_of_words(words, "a test"), finding()) is said
    assert not says(patterns_of_words(("oops",), "a test"), finding())


def test_a_word_without_an_end_is_an_error_that_says_what_to_do() -> None:
    flood = Finding("kernel panic", PANIC, "a" * 100, 0, 0.0)

    with pytest.raises(UsageError, match="takes too long"):
        says(patterns_of_words(("(a+)+b",), "a test"), flood)


@pytest.mark.parametrize(
    ("pattern", "excused"),
    [
        (rb"Kernel panic", True),
        (rb"panic.*VFS", True),
        (rb"panic", True),
        (rb"VFS", False),
        (rb"[\[]", False),
        (rb"panic - not syncing: [^\r\n]+\r\n", True),
        (rb"panic.*\n", True),
        (rb"VFS\r\n", False),
        (rb"\r\n", False),
        (rb"Kernel panic.*login", True),
        (rb"K\w+ p\w+", True),
        (rb".*login: ", False),
        (rb"login: ", False),
    ],
)
def test_only_what_was_waited_for_is_excused(
    expected: ExpectedTrouble, pattern: bytes, excused: bool
) -> None:
    match = re.search(pattern, LINE.encode() + b"\r\nlogin: ", re.DOTALL)
    assert match is not None

    expected.matched(match)

    assert expected.excuses(finding()) is excused


def test_a_block_excuses_what_came_in_it() -> None:
    transcript = Transcript()
    expected = ExpectedTrouble(transcript)
    transcript.append(b"12345")
    with expected.announced(("panic",)):
        transcript.append(b"67890")
        assert expected.excuses(finding(7))

    assert [expected.excuses(finding(at)) for at in (4, 5, 9, 10)] == [False, True, True, False]


@pytest.mark.parametrize("word", ["(", "[a", "(" * 5000, "a{99999999999999999999}", "\ud800", 7, None])
def test_announced_refuses_a_word_that_is_no_pattern_before_the_block(
    expected: ExpectedTrouble, word: str
) -> None:
    with pytest.raises(UsageError, match="expecting_trouble cannot look for"), expected.announced((word,)):
        pytest.fail("the block ran")


def test_the_next_test_expects_nothing_yet(expected: ExpectedTrouble) -> None:
    with expected.announced(()):
        expected.forget()

    assert not expected.excuses(finding())
