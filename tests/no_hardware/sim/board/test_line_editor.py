"""The line editor's echo, history and completion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.sim.board.line_editor import LineEditor
from hil.sim.board.shell_text import COMMANDS

BELL = b"\x07"
UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"


class Typist:
    """Types into an editor."""

    def __init__(self) -> None:
        self.editor = LineEditor(COMMANDS)
        self.lines: list[str] = []

    def type(self, data: bytes) -> bytes:
        echo = bytearray()
        for byte in data:
            answer, line = self.editor.feed(byte)
            echo += answer
            if line is not None:
                self.lines.append(line)
        return bytes(echo)


@pytest.fixture
def typist() -> Typist:
    return Typist()


def test_line_ends_with_a_return(typist: Typist) -> None:
    echo = typist.type(b"power on\r")

    assert (echo, typist.lines) == (b"power on", ["power on"])


@pytest.mark.parametrize("ignored", [b"\n", b"\x02", b"\x03", b"\x1bx", b"\x1bO", b"\x1b[Z", b"\0"])
def test_other_control_characters_do_nothing(typist: Typist, ignored: bytes) -> None:
    echo = typist.type(b"ab" + ignored + b"c\r")

    assert (echo, typist.lines) == (b"abc", ["abc"])


@pytest.mark.parametrize("key", [b"\x7f", b"\x08"])
def test_backspace_rubs_out_the_last_character(typist: Typist, key: bytes) -> None:
    echo = typist.type(b"ab" + key + b"c\r")

    assert (echo, typist.lines) == (b"ab\x08 \x08c", ["ac"])


def test_there_is_nothing_to_rub_out_at_the_beginning(typist: Typist) -> None:
    assert typist.type(b"\x7f") == BELL


def test_character_is_inserted_at_the_cursor(typist: Typist) -> None:
    echo = typist.type(b"ac" + LEFT + b"b\r")

    assert (echo, typist.lines) == (b"ac\x1b[Db\x1b[s\x1b[Kc\x1b[u", ["abc"])


def test_character_is_deleted_before_the_cursor(typist: Typist) -> None:
    echo = typist.type(b"abc" + LEFT + b"\x7f\r")

    assert (echo, typist.lines) == (b"abc\x1b[D\x1b[D\x1b[s\x1b[Kc\x1b[u", ["ac"])


def test_cursor_stays_within_the_line(typist: Typist) -> None:
    echo = typist.type(b"a" + RIGHT + LEFT + LEFT + RIGHT)

    assert echo == b"a" + BELL + LEFT + BELL + RIGHT


def test_up_recalls_the_latest_line(typist: Typist) -> None:
    echo = typist.type(b"one\rtwo\r" + UP + b"\r")

    assert (echo, typist.lines) == (b"onetwo\x1b[Ktwo", ["one", "two", "two"])


def test_up_replaces_what_is_typed(typist: Typist) -> None:
    typist.type(b"one\r")

    assert typist.type(b"xy" + UP) == b"xy\x1b[2D\x1b[Kone"


def test_up_beyond_the_oldest_line_rings(typist: Typist) -> None:
    typist.type(b"one\r" + UP)

    assert typist.type(UP) == BELL


def test_down_repeats_a_line_before_it_goes_forward(typist: Typist) -> None:
    typist.type(b"one\rtwo\rsix\r" + UP * 3)

    assert typist.type(DOWN) == b"\x1b[3D\x1b[Kone"
    assert typist.type(DOWN) == b"\x1b[3D\x1b[Ktwo"


def test_history_needs_the_cursor_at_the_end(typist: Typist) -> None:
    typist.type(b"one\rab" + LEFT)

    assert typist.type(UP) == BELL


def test_line_typed_again_moves_to_the_front(typist: Typist) -> None:
    typist.type(b"one\rtwo\rone\r" + UP + UP + b"\r")

    assert typist.lines[-1] == "two"


def test_eleventh_line_pushes_the_oldest_out(typist: Typist) -> None:
    typist.type(b"".join(b"%d\r" % number for number in range(11)))

    typist.type(UP * 10 + b"\r")

    assert typist.lines[-1] == "1"


@pytest.mark.parametrize(
    ("typed", "echo", "line"),
    [
        (b"he\t", b"he\x1b[Klp", "help"),
        (b"s\t", b"s\x1b[Ktorage", "storage"),
        (b"set\t", b"set\x1b[K", "set"),
        (b"m\t", b"m\x1b[Keter", "meter"),
        (b"x\t", b"x\x07", "x"),
        (b"\t", b"\x07", ""),
    ],
)
def test_tab_completes_the_first_command_that_fits(
    typist: Typist, typed: bytes, echo: bytes, line: str
) -> None:
    assert typist.type(typed) == echo

    typist.type(b"\r")
    assert typist.lines == [line]


def test_tab_drops_the_text_after_the_cursor(typist: Typist) -> None:
    typist.type(b"po tail" + LEFT * 5 + b"\t\r")

    assert typist.lines == ["power"]


def test_full_line_rings(typist: Typist) -> None:
    echo = typist.type(b"x" * 513)

    assert echo == b"x" * 512 + BELL


def test_full_line_is_overwritten_at_the_cursor(typist: Typist) -> None:
    typist.type(b"x" * 512 + LEFT * 2)

    assert typist.type(b"y") == b"y"
    typist.type(b"\r")
    assert typist.lines == ["x" * 510 + "yx"]


def test_line_that_is_not_utf_8_cannot_be_ended_before_it_is_mended(typist: Typist) -> None:
    typist.type(b"a\xff\r\r")
    stuck = list(typist.lines)

    typist.type(b"\x7f\r")

    assert (stuck, typist.lines) == ([], ["a"])


def test_tab_after_half_a_character_does_nothing(typist: Typist) -> None:
    assert typist.type(b"\xc3\t") == b"\xc3"


def test_letters_beyond_ascii_are_echoed_byte_by_byte(typist: Typist) -> None:
    echo = typist.type("é\r".encode())

    assert (echo, typist.lines) == ("é".encode(), ["é"])


@given(
    st.lists(
        st.one_of(st.binary(max_size=20), st.sampled_from([UP, DOWN, LEFT, RIGHT, b"\t", b"\r", b"\x7f"]))
    )
)
def test_any_typing_leaves_a_line_of_at_most_512_bytes(keys: list[bytes]) -> None:
    typist = Typist()

    typist.type(b"".join(keys))

    assert 0 <= typist.editor._cursor <= len(typist.editor._line) <= 512
