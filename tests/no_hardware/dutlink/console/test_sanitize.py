"""Nothing that a DUT says gets out of the line it is shown in."""

from __future__ import annotations

import unicodedata
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hil.dutlink.console.sanitize import (
    CiCommandFilter,
    SanitizingDecoder,
    sanitize_bytes,
    sanitize_text,
    without_ci_commands,
)

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.text(max_size=4).map(lambda text: text.encode(errors="surrogatepass")),
        st.sampled_from(
            [b"\x1b", b"[", b"31m", b"\x1b[31;1m", b"\r", b"\n", b"\x1b]0;title\x07", b"\x9b", b"\xc2", b"\0"]
        ),
    ),
    max_size=12,
)


@given(PIECES)
@example([b"\r", b"\x1b[K", b"\n"])
@example([b"\xe2\x82", b"\x1b[m", b"\xac"])
def test_decoder_text_does_not_depend_on_the_pieces(pieces: list[bytes]) -> None:
    text = SanitizingDecoder()

    assert "".join(map(text.feed, pieces)) + text.finish() == sanitize_bytes(b"".join(pieces))


@given(PIECES)
def test_sanitize_bytes_leaves_only_visible_characters(pieces: list[bytes]) -> None:
    shown = sanitize_bytes(b"".join(pieces))

    unseen = {each for each in shown if unicodedata.category(each)[0] == "C" or each in "\u2028\u2029"}
    assert unseen <= {"\n", "\t"}


@given(PIECES)
def test_sanitize_bytes_makes_text_for_xml(pieces: list[bytes]) -> None:
    shown = sanitize_bytes(b"".join(pieces))
    element = ET.Element("system-out")
    element.text = shown

    assert (ET.fromstring(ET.tostring(element)).text or "") == shown  # noqa: S314 - made a line above


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"a\r\r\nb\rc\n", "a\nb\nc\n"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"\x1bP1;1|17/ab\x1b\\", "\\x1bP1;1|17/ab\\x1b\\"),
        (b"\x1b[?1;2c\x1b[2J", ""),
        (b"\xff\x00\x7f", r"\xff\x00\x7f"),
        ("\u202eevil\u2069".encode(), r"\u202eevil\u2069"),
        ("\x9b31m".encode(), r"\x9b31m"),
        ("grün 漢字 😀".encode(), "grün 漢字 😀"),
        (b"\x1b\x1b[m[31m", r"\x1b[31m"),
        (b"\x1b[" + b"1" * 60 + b"m", r"\x1b[" + "1" * 60 + "m"),
    ],
)
def test_sanitize_bytes_of(data: bytes, shown: str) -> None:
    assert sanitize_bytes(data) == shown


def test_sanitize_text_shows_text_that_cannot_be_encoded() -> None:
    assert sanitize_text("test\udcff\x1b[31m") == r"test\udcff"


@given(st.text(st.characters(max_codepoint=0xFF), max_size=8))
def test_sanitize_text_shows_what_sanitize_bytes_does(text: str) -> None:
    assert sanitize_text(text) == sanitize_bytes(text.encode())


@pytest.mark.parametrize("letter", ["\u3164", "\u2800", "\ufe0f", "\u115f", "\uffa0", "\u034f", "\U000e0101"])
def test_sanitize_bytes_shows_invisible_letters_by_their_codes(letter: str) -> None:
    shown = sanitize_bytes(f"root{letter}".encode())

    assert shown == f"root{letter.encode('ascii', 'backslashreplace').decode()}"


CI_PIECES = st.lists(
    st.sampled_from([":", "::", "#", "##", "[", "[[", "error", "vso", "ATTACHMENT|", "\n", " ", "\t", "x"]),
    max_size=12,
)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("::error::boom", r"\x3a:error::boom"),
        ("ok\n \t::stop-commands::x", "ok\n \t\\x3a:stop-commands::x"),
        ("a ##[group]x", r"a \x23#[group]x"),
        ("a ##vso[task.complete]", r"a \x23#vso[task.complete]"),
        ("##teamcity[x]", r"\x23#teamcity[x]"),
        ("[[ATTACHMENT|/etc/passwd]]", r"\x5b[ATTACHMENT|/etc/passwd]]"),
    ],
)
def test_ci_commands_are_shown_with_a_code_for_their_first_character(said: str, shown: str) -> None:
    assert without_ci_commands(said) == shown


@pytest.mark.parametrize("said", ["a::b", "std::vector", "# title", "## title", "a [[ x ]]", "10:30 ::1"])
def test_ci_commands_are_not_seen_in_ordinary_text(said: str) -> None:
    assert without_ci_commands(said) == said


@given(CI_PIECES)
@example(["##", "["])
@example(["x", "[", "[ATTACHMENT|"])
def test_ci_command_filter_is_the_same_however_text_is_split(pieces: list[str]) -> None:
    commands = CiCommandFilter()

    shown = "".join(map(commands.feed, pieces)) + commands.finish()

    assert shown == without_ci_commands("".join(pieces))


@given(CI_PIECES)
def test_ci_commands_are_gone_after_one_pass(pieces: list[str]) -> None:
    once = without_ci_commands("".join(pieces))

    assert without_ci_commands(once) == once
