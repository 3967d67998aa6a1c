"""Board records: a killed writer leaves a whole record, and a record in doubt never counts as safe."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.console.sanitize import sanitize_line
from hil.errors import SpoiltFileError
from hil.lab.locks.holder import COMMAND_SIZE, WORD_BYTES, Holder, truncate
from hil.lab.safe_state import record as board_record
from hil.lab.safe_state.record import (
    RECORD_BYTES,
    BoardRecord,
    BoardState,
    SafetyEvent,
    known_boards,
    read_record,
    record_path,
    write_record,
)
from tests.support.other_user import MALLORY, VICTIM, as_user, folder_for_everybody, only_root

SERIAL = "5a1c0e01"
WORDS = st.text(max_size=150).map(sanitize_line)
# As long as a record keeps a holder's words.
KEPT = WORDS.map(lambda text: truncate(text[:COMMAND_SIZE], WORD_BYTES))
HOLDERS = st.builds(Holder, user=KEPT, pid=st.integers(1, 1 << 22), command=KEPT, since=KEPT, test=KEPT)
EVENTS = st.builds(SafetyEvent, WORDS, WORDS, WORDS, st.none() | st.floats(-9, 9), WORDS)
RECORDS = st.builds(
    BoardRecord,
    st.sampled_from(BoardState),
    st.none() | HOLDERS,
    st.lists(EVENTS).map(tuple),
    st.sampled_from(["", "off", "host", "dut"]),
)


@given(RECORDS)
def test_record_fits_one_page_without_its_oldest_events(record: BoardRecord) -> None:
    text = record.to_json()
    again = BoardRecord.from_json(text)

    assert len(text) == RECORD_BYTES
    assert (again.state, again.holder, again.position) == (record.state, record.holder, record.position)
    assert again.events == record.events[len(record.events) - len(again.events) :]


EVENT = {"what": "made safe", "why": "", "by": "guard", "amps": 0.1, "when": "", "silent": False}


def record_with(**facts: object) -> bytes:
    return json.dumps({"state": "safe", "holder": None, "events": [], "position": "off"} | facts).encode()


def record_with_event(**facts: object) -> bytes:
    return record_with(events=[EVENT | facts])


NO_RECORDS = [
    *(b"", b"{", b"[]", b"\xff", b"[" * 4000, b"null", b"7", b'"safe"', bytes(4096), b"9" * 4096),
    *(record_with(state=state) for state in ("fine", None, 7, [], {})),
    *(record_with(events=events) for events in (None, 7, "safe", {"a": 1}, [7], ["made safe"], [[]], [{}])),
    *(record_with_event(amps=amps) for amps in ("0.1", True, [], float("nan"), float("inf"))),
    *(record_with_event(**{name: 7}) for name in ("what", "why", "by", "when", "silent")),
]


@pytest.mark.parametrize("text", NO_RECORDS)
def test_record_that_cannot_be_read_is_not_safe(tmp_path: Path, text: bytes) -> None:
    record_path(tmp_path, SERIAL).write_bytes(text)

    record = read_record(tmp_path, SERIAL)

    assert record.needs_safety
    assert str(record_path(tmp_path, SERIAL)) in record.trouble
    str(record)


def test_record_of_another_version_is_read(tmp_path: Path) -> None:
    newer = record_with(socket="2-1", events=[EVENT | {"volts": 5.0}])
    record_path(tmp_path, SERIAL).write_bytes(newer)

    record = read_record(tmp_path, SERIAL)

    assert (record.state, len(record.events), record.trouble) == (BoardState.SAFE, 1, "")


def test_record_with_an_unknown_position_is_read() -> None:
    assert BoardRecord.from_json(record_with(position="upside down")).position == ""


def test_record_has_room_for_the_longest_words(tmp_path: Path) -> None:
    long = "\N{EARTH GLOBE EUROPE-AFRICA}\N{CJK UNIFIED IDEOGRAPH-4E00}" * 500
    holder = Holder.here()._replace(user=long, command=long, test=long)
    record = BoardRecord().marked_in_use(holder).with_event(SafetyEvent.failed(long, "guard"))
    write_record(tmp_path, SERIAL, record)

    read = read_record(tmp_path, SERIAL)

    assert read.trouble == ""
    assert read.holder is not None
    assert read.holder.test.startswith(long[:20])
    assert len(read.events) == 1
    assert Holder.from_json(holder.to_json()) == read.holder


def test_record_of_100_mb_is_read_in_its_first_page_and_written_small(tmp_path: Path) -> None:
    path = record_path(tmp_path, SERIAL)
    write_record(tmp_path, SERIAL, BoardRecord())
    os.truncate(path, 100 << 20)
    write_record(tmp_path, SERIAL, read_record(tmp_path, SERIAL))

    assert path.stat().st_size == RECORD_BYTES


@pytest.mark.parametrize("spoil", [os.mkfifo, os.mkdir])
def test_spoilt_record_is_replaced_when_it_is_written(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(record_path(tmp_path, SERIAL))
    found = read_record(tmp_path, SERIAL)
    write_record(tmp_path, SERIAL, found.with_event(SafetyEvent.made_safe("asked for", "hil safe", 0.0)))

    assert found.needs_safety
    assert not read_record(tmp_path, SERIAL).needs_safety


@only_root
def test_spoilt_record_that_cannot_be_replaced_stays_unsafe() -> None:
    with folder_for_everybody() as folder:
        as_user(MALLORY, lambda: os.mkfifo(record_path(folder, SERIAL)))
        as_user(VICTIM, lambda: write_record(folder, SERIAL, BoardRecord().marked_in_use(Holder.here())))
        as_user(VICTIM, lambda: write_record(folder, SERIAL, BoardRecord().marked_safe()))

        assert as_user(VICTIM, lambda: read_record(folder, SERIAL)).needs_safety


def test_write_record_raises_if_the_board_would_seem_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object) -> None:
        raise SpoiltFileError(f"no room in {path.parent}")

    write_record(tmp_path, SERIAL, BoardRecord().marked_safe())
    monkeypatch.setattr(board_record, "open_shared", full)
    monkeypatch.setattr(board_record, "replace_shared", full)

    with pytest.raises(SpoiltFileError, match="no room"):
        write_record(tmp_path, SERIAL, BoardRecord().marked_in_use(Holder.here()))
    write_record(tmp_path, SERIAL, BoardRecord().marked_safe())


def test_read_record_makes_no_file(tmp_path: Path) -> None:
    read_record(tmp_path, SERIAL)

    assert list(tmp_path.iterdir()) == []


def test_known_boards_ignores_other_files_and_has_a_limit(tmp_path: Path) -> None:
    write_record(tmp_path, SERIAL, BoardRecord())
    for name in ("$(true)", "a b", "x" * 200, "a\nb"):
        (tmp_path / f"hil-board-{name}.json").touch()
    for number in range(3):
        write_record(tmp_path, f"0{number}", BoardRecord())
    os.utime(record_path(tmp_path, SERIAL), (1, 1))

    assert known_boards(tmp_path) == ["00", "01", "02", SERIAL]
    assert SERIAL not in board_record.newest_boards(tmp_path, 3)


def test_record_is_unknown_without_a_file(tmp_path: Path) -> None:
    assert read_record(tmp_path, SERIAL).state is BoardState.UNKNOWN
    assert read_record(tmp_path, SERIAL).needs_safety


def test_record_of_a_board_in_use_is_not_safe() -> None:
    assert BoardRecord().marked_in_use(Holder.here()).needs_safety


def test_event_names_its_actor_and_what_it_measured(tmp_path: Path) -> None:
    event = SafetyEvent.made_safe("pid 1 ended", "guard", 0.01)
    write_record(tmp_path, SERIAL, BoardRecord().with_event(event))

    said = str(read_record(tmp_path, SERIAL).events[-1])
    assert said == f"made safe by guard at {event.when}, 0.01 A measured: pid 1 ended"


def test_known_boards_lists_boards_with_a_record(tmp_path: Path) -> None:
    write_record(tmp_path, SERIAL, BoardRecord())

    assert known_boards(tmp_path) == [SERIAL]


def test_write_record_replaces_a_link(tmp_path: Path) -> None:
    record_path(tmp_path, SERIAL).symlink_to(tmp_path / "precious")
    write_record(tmp_path, SERIAL, BoardRecord())

    assert not record_path(tmp_path, SERIAL).is_symlink()
    assert not (tmp_path / "precious").exists()


def test_record_is_read_without_control_characters() -> None:
    evil = "\x1b]0;evil\x07\n\u202e"
    forged = BoardRecord(
        BoardState.UNSAFE,
        Holder.here()._replace(user=evil, command=evil, test=evil),
        (SafetyEvent.failed(evil, evil),),
    )

    read = BoardRecord.from_json(forged.to_json())

    assert f"{read.holder} {read.events[0]}".isprintable()


def test_record_name_is_read_without_control_characters(tmp_path: Path) -> None:
    write_record(tmp_path, SERIAL, BoardRecord().with_name("rack\x1b[31m-3").marked_in_use(Holder.here()))

    assert read_record(tmp_path, SERIAL).marked_safe().name == sanitize_line("rack\x1b[31m-3")
