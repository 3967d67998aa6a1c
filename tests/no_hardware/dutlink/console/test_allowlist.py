from __future__ import annotations

import re
from pathlib import Path

import pytest

from hil.dutlink.console.allowlist import ErrorAllowlist, ErrorLine, compile_error_patterns, names_error
from hil.dutlink.console.console import Console
from hil.dutlink.console.transcript import Transcript
from hil.dutlink.console.tty import Tty
from hil.errors import UsageError

PANIC = re.compile(rb"(?i:kernel panic)")
LINE = "[  3.1] Kernel panic - not syncing: VFS"


def finding(position: int = 0) -> ErrorLine:
    return ErrorLine("kernel panic", PANIC, LINE, position, 0.0)


@pytest.fixture
def allowlist() -> ErrorAllowlist:
    return ErrorAllowlist(Transcript())


@pytest.mark.parametrize(
    ("words", "said"),
    [(("panic",), True), (("PANIC",), True), (("not syncing",), True), (("oops", "VFS$"), True), ((), True)],
)
def test_names_error_searches_name_and_line(words: tuple[str, ...], said: bool) -> None:
    assert names_error(compile_error_patterns(words, "a test"), finding()) is said
    assert not names_error(compile_error_patterns(("oops",), "a test"), finding())


def test_names_error_refuses_a_pattern_that_backtracks_for_long() -> None:
    flood = ErrorLine("kernel panic", PANIC, "a" * 100, 0, 0.0)

    with pytest.raises(UsageError, match="takes too long"):
        names_error(compile_error_patterns(("(a+)+b",), "a test"), flood)


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
def test_allows_an_error_that_expect_waited_for_only(
    allowlist: ErrorAllowlist, pattern: bytes, excused: bool
) -> None:
    match = re.search(pattern, LINE.encode() + b"\r\nlogin: ", re.DOTALL)
    assert match is not None

    allowlist.add_match(match)

    assert allowlist.allows(finding()) is excused


def test_allow_covers_the_bytes_of_its_block() -> None:
    transcript = Transcript()
    allowlist = ErrorAllowlist(transcript)
    transcript.append(b"12345")
    with allowlist.allow(("panic",)):
        transcript.append(b"67890")
        assert allowlist.allows(finding(7))

    assert [allowlist.allows(finding(at)) for at in (4, 5, 9, 10)] == [False, True, True, False]


@pytest.mark.parametrize("word", ["(", "[a", "(" * 5000, "a{99999999999999999999}", "\ud800", 7, None])
def test_allow_refuses_a_word_that_is_no_pattern_before_the_block(
    allowlist: ErrorAllowlist, word: str
) -> None:
    with pytest.raises(UsageError, match="allow_errors cannot look for"), allowlist.allow((word,)):
        pytest.fail("the block ran")


def test_clear_forgets_what_was_allowed(allowlist: ErrorAllowlist) -> None:
    with allowlist.allow(()):
        allowlist.clear()

    assert not allowlist.allows(finding())


def test_expecting_trouble_is_a_deprecated_name_of_allow_errors() -> None:
    nowhere = Tty(Path("/nowhere"))
    console = Console("5a1c0e01", lambda: nowhere, nowhere)

    with pytest.warns(DeprecationWarning, match="allow_errors"), console.expecting_trouble("panic"):
        assert console.error_allowlist.allows(finding())
    assert not console.error_allowlist.allows(finding())
