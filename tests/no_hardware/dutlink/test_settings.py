from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import category

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.dutlink.settings import Settings, encode
from hil.errors import BoardReplyError, SequenceError, SettingError

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from tests.support.fake_bus import FakeBoard


def test_read_takes_a_new_snapshot_and_removes_padding(board: Board, fake: FakeBoard) -> None:
    board.settings.read()
    fake.settings[0] = b"left bench"

    assert board.settings.read().name == "left bench"


def test_read_accepts_a_full_field(board: Board, fake: FakeBoard) -> None:
    fake.settings[1] = b"t" * 256

    assert board.settings.read().tags == "t" * 256


@given(stored=st.binary(max_size=64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_read_returns_text_that_files_and_terminals_take(
    board: Board, fake: FakeBoard, stored: bytes
) -> None:
    fake.settings[0] = stored

    name = board.settings.read().name

    assert name.encode().decode() == name
    assert name.isprintable()
    assert all(category(character) not in {"Cc", "Cf", "Cs"} for character in name)


def test_read_replaces_bytes_that_are_not_utf_8(board: Board, fake: FakeBoard) -> None:
    fake.settings[0] = b"caf\xe9\x1b]"

    assert board.settings.read().name == r"caf\xe9\x1b]"


def test_write_replaces_a_name_that_is_not_utf_8(board: Board, fake: FakeBoard) -> None:
    fake.settings[0] = b"caf\xe9"

    board.settings.write(name=r"caf\xe9")

    assert fake.settings[0] == rb"caf\xe9"


def test_tags_keep_the_line_ends_that_separate_them(board: Board, fake: FakeBoard) -> None:
    fake.settings[1] = b"arm64\nusb3\tfast"

    assert board.settings.read().tag_list == ["arm64", "usb3", "fast"]


def test_write_sends_only_settings_that_differ(board: Board, fake: FakeBoard) -> None:
    fake.settings[0] = b"left bench"

    settings = board.settings.write(name="left bench", power_on="p1,w5")

    assert fake.done == [(3, 3, b"p1,w5")]
    assert settings == Settings(name="left bench", power_on="p1,w5")


def test_write_of_an_empty_value_clears_a_setting(board: Board, fake: FakeBoard) -> None:
    fake.settings[4] = b"p0"

    assert board.settings.write(power_off="").power_off == ""
    assert fake.done == [(3, 4, b"")]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"name": "n" * 65}, SettingError, "64"),
        ({"name": "\u00e9" * 33}, SettingError, "66 bytes"),
        ({"tags": "t" * 257}, SettingError, "256"),
        ({"usb_console": "a\0b"}, SettingError, "NUL"),
        ({"json": "{}"}, SettingError, "power_rescue"),
        ({"name": "\ud800"}, SettingError, "stored"),
        ({"name": "\udcff\udcfe"}, SettingError, "not UTF-8"),
        ({"name": "\x1b[31mred"}, SettingError, "cannot be seen"),
        ({"name": "two\nlines"}, SettingError, "cannot be seen"),
        ({"tags": "left\u202eright"}, SettingError, "cannot be seen"),
        ({"power_on": "p1,w9999"}, SequenceError, "overflows"),
        ({"power_rescue": "p1 w5"}, SequenceError, "character 3"),
        ({"name": 5}, SettingError, "text"),
    ],
)
def test_write_refuses_what_the_board_would_cut_before_a_request(
    board: Board, fake: FakeBoard, changes: dict, kind: type[SettingError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        board.settings.write(**{"tags": "fine"} | changes)

    assert words in str(caught.value)
    assert fake.requests == []


def test_write_raises_board_reply_error_if_the_board_kept_something_else(
    board: Board, fake: FakeBoard
) -> None:
    fake.keeps = False

    with pytest.raises(BoardReplyError, match="did not keep name"):
        board.settings.write(name="left bench")


@given(st.text(max_size=64))
def test_encode_and_read_are_inverses(text: str) -> None:
    try:
        stored = encode("name", text)
    except SettingError:
        return

    assert len(stored) <= 64
    assert stored.decode() == text


def test_tag_list_splits_at_commas_and_spaces() -> None:
    assert Settings(tags="arm64, usb3 lab=2").tag_list == ["arm64", "usb3", "lab=2"]
