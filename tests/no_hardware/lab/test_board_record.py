"""What is on record about a board survives whoever writes it, and is never taken for safe when in doubt."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.plain_text import plain_line
from hil.errors import UsageError
from hil.lab.board_record import (
    RECORD_BYTES,
    BoardRecord,
    BoardState,
    SafetyEvent,
    known_boards,
    read_record,
    record_path,
    write_record,
)
from hil.lab.holder import Holder

SERIAL = "5a1c0e01"
WORDS = st.text(max_size=150).map(plain_line)
HOLDERS = st.builds(Holder, user=WORDS, pid=st.integers(1), command=WORDS, since=WORDS, test=WORDS)
EVENTS = st.builds(SafetyEvent, WORDS, WORDS, WORDS, st.none() | st.floats(-9, 9), WORDS)
RECORDS = st.builds(
    BoardRecord,
    st.sampled_from(BoardState),
    st.none() | HOLDERS,
    st.lists(EVENTS).map(tuple),
    st.sampled_from(["", "off", "host", "dut"]),
)


@given(RECORDS)
def test_a_record_is_one_page_and_reads_back_but_for_its_oldest_events(record: BoardRecord) -> None:
    text = record.to_json()
    again = BoardRecord.from_json(text)

    assert len(text) == RECORD_BYTES
    assert (again.state, again.holder, again.position) == (record.state, record.holder, record.position)
    assert again.events == record.events[len(record.events) - len(again.events) :]


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b'{"state": "fine"}', b"[" * 4000])
def test_a_record_that_cannot_be_read_is_not_safe(text: bytes) -> None:
    assert BoardRecord.from_json(text).needs_safety


def test_a_board_that_was_never_held_needs_nothing(tmp_path: Path) -> None:
    assert not read_record(tmp_path, SERIAL).needs_safety


def test_a_board_in_use_is_not_safe() -> None:
    assert BoardRecord().used_by(Holder()).needs_safety


def test_the_newest_event_says_who_did_what_and_what_was_measured(tmp_path: Path) -> None:
    event = SafetyEvent.made_safe("pid 1 ended", "guard", 0.01)
    write_record(tmp_path, SERIAL, BoardRecord().with_event(event))

    said = str(read_record(tmp_path, SERIAL).events[-1])
    assert said == f"made safe by guard at {event.when}, 0.01 A measured: pid 1 ended"


def test_boards_with_a_record_are_known(tmp_path: Path) -> None:
    write_record(tmp_path, SERIAL, BoardRecord())

    assert known_boards(tmp_path) == [SERIAL]


def test_a_link_in_place_of_a_record_is_refused(tmp_path: Path) -> None:
    record_path(tmp_path, SERIAL).symlink_to(tmp_path / "precious")

    with pytest.raises(UsageError, match="it is a link"):
        write_record(tmp_path, SERIAL, BoardRecord())


def test_a_record_that_somebody_forged_moves_no_terminal() -> None:
    evil = "\x1b]0;evil\x07\n\u202e"
    forged = BoardRecord(
        BoardState.PENDING,
        Holder(user=evil, command=evil, test=evil),
        (SafetyEvent.failed(evil, evil),),
    )

    read = BoardRecord.from_json(forged.to_json())

    assert f"{read.holder} {read.events[0]}".isprintable()
