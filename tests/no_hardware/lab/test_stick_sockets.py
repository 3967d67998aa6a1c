"""What hil learned of sticks, in the lock folder: which users' files are believed."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from multiprocessing import Process
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.storage.stick_memory import LearnedSocket
from hil.dutlink.storage.usb_sockets import StickNames, board_is_at
from hil.lab.stick_sockets import StickSockets, forget_sockets

if TYPE_CHECKING:
    from collections.abc import Callable

LEARNED = LearnedSocket("1-1", "2-1.3", StickNames("1209", "0001", "AB12", 1 << 20), 3.5)
OTHER = LearnedSocket("1-2", "2-2", StickNames("1209", "0001", "", 1 << 20), 3.4)


def file_of(folder: Path, serial: str = "5a1c0e01", uid: int | None = None) -> Path:
    return folder / f"hil-stick-{serial}-{os.geteuid() if uid is None else uid}.json"


def test_recall_gives_what_another_process_kept(tmp_path: Path) -> None:
    StickSockets("5a1c0e01", tmp_path).keep(LEARNED)

    found = StickSockets("5a1c0e01", tmp_path)

    assert (found.recall(), found.is_shared) == (LEARNED, True)


def test_recall_of_a_board_that_is_not_known_is_none(tmp_path: Path) -> None:
    assert StickSockets("5a1c0e01", tmp_path).recall() is None


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_recall_ignores_a_file_that_others_may_write(tmp_path: Path, mode: int) -> None:
    StickSockets("5a1c0e01", tmp_path).keep(LEARNED)
    file_of(tmp_path).chmod(mode)

    assert StickSockets("5a1c0e01", tmp_path).recall() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_recall_ignores_a_file_of_another_user(tmp_path: Path) -> None:
    StickSockets("5a1c0e01", tmp_path).keep(LEARNED)
    os.chown(file_of(tmp_path), 12345, 12345)

    assert StickSockets("5a1c0e01", tmp_path).recall() is None


def test_recall_ignores_a_link(tmp_path: Path) -> None:
    StickSockets("5a1c0e01", tmp_path).keep(LEARNED)
    file_of(tmp_path).rename(tmp_path / "elsewhere")
    file_of(tmp_path).symlink_to(tmp_path / "elsewhere")

    assert StickSockets("5a1c0e01", tmp_path).recall() is None


SPOILT = [
    "",
    "garbage",
    "[]",
    "{}",
    "[" * 4000,
    json.dumps({"board": "", "socket": "2-1", "names": ["", "", "", 1], "came_after_s": 1}),
    json.dumps({"board": "1-1", "socket": 5, "names": ["", "", "", 1], "came_after_s": 1}),
    json.dumps({"board": "1-1", "socket": "2-1", "names": ["", "", ""], "came_after_s": 1}),
    json.dumps({"board": "1-1", "socket": "2-1", "names": ["", "", "", 1], "came_after_s": "soon"}),
    '{"board": "1-1", "socket": "2-1", "names": ["", "", "", 1], "came_after_s": Infinity}',
    '{"board": "1-1", "socket": "2-1", "names": ["", "", "", 1], "came_after_s": NaN}',
    *(
        json.dumps({"board": board, "socket": socket, "names": ["", "", "", 1], "came_after_s": 1})
        for board, socket in [
            ("/etc", "2-1"),
            ("../../1-1", "2-1"),
            ("1-1/../1-2", "2-1"),
            ("1-1\n", "2-1"),
            ("1-\u0661", "2-1"),
            ("1-1", "../2-1"),
            ("1-1", "2-1."),
        ]
    ),
]


@pytest.mark.parametrize("text", SPOILT)
def test_recall_ignores_a_spoilt_file_and_keep_replaces_it(tmp_path: Path, text: str) -> None:
    file_of(tmp_path).write_text(text)
    file_of(tmp_path).chmod(0o644)
    memory = StickSockets("5a1c0e01", tmp_path)
    found = memory.recall()

    memory.keep(LEARNED)

    assert (found, StickSockets("5a1c0e01", tmp_path).recall()) == (None, LEARNED)
    assert StickSockets("00000000", tmp_path).of_others() == [("5a1c0e01", LEARNED)]


def test_of_others_tells_of_any_user_s_boards_but_this_one(tmp_path: Path) -> None:
    StickSockets("5a1c0e01", tmp_path).keep(LEARNED)
    StickSockets("5a1c0e02", tmp_path).keep(OTHER)
    file_of(tmp_path, "5a1c0e02").rename(file_of(tmp_path, "5a1c0e02", 4711))

    assert StickSockets("5a1c0e01", tmp_path).of_others() == [("5a1c0e02", OTHER)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_of_others_tells_what_another_user_says_of_this_board(tmp_path: Path) -> None:
    StickSockets("5a1c0e01", tmp_path).keep(LEARNED)
    hers = file_of(tmp_path, uid=12345)
    file_of(tmp_path).rename(hers)
    os.chown(hers, 12345, 12345)
    StickSockets("5a1c0e01", tmp_path).keep(OTHER)

    ((serial, learned),) = StickSockets("5a1c0e01", tmp_path).of_others()

    assert (serial, learned, learned.source) == ("5a1c0e01", LEARNED, str(hers))


def test_keep_works_in_this_process_without_a_writable_folder(tmp_path: Path) -> None:
    memory = StickSockets("5a1c0e01", tmp_path / "missing")
    memory.keep(LEARNED)

    assert (memory.recall(), memory.is_shared) == (LEARNED, False)


@pytest.fixture
def nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Fill the disk, as `/run` is by some other program's files."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill() -> None:
        monkeypatch.setattr("hil.lab.stick_sockets.write_atomically", full)
        monkeypatch.setattr(Path, "unlink", full)

    return fill


def test_unverified_image_goes_by_what_could_not_be_written_and_not_by_an_older_file(
    tmp_path: Path, nothing_can_be_written: Callable[[], None]
) -> None:
    StickSockets("5a1c0e01", tmp_path).mark_unverified("older.img")
    StickSockets("5a1c0e01", tmp_path).mark_unverified("")
    memory = StickSockets("5a1c0e01", tmp_path)
    nothing_can_be_written()

    memory.mark_unverified("image.img")
    unverified = memory.unverified_image()
    memory.mark_unverified("")

    assert (unverified, memory.unverified_image()) == ("image.img", "")


def test_recall_goes_by_what_could_not_be_written_and_not_by_an_older_file(
    tmp_path: Path, nothing_can_be_written: Callable[[], None]
) -> None:
    StickSockets("5a1c0e01", tmp_path).keep(OTHER)
    memory = StickSockets("5a1c0e01", tmp_path)
    nothing_can_be_written()

    memory.keep(LEARNED)

    assert (memory.recall(), memory.is_shared) == (LEARNED, False)


def test_recall_is_none_after_what_could_not_be_removed_was_forgotten(
    tmp_path: Path, nothing_can_be_written: Callable[[], None]
) -> None:
    memory = StickSockets("5a1c0e01", tmp_path)
    memory.keep(LEARNED)
    nothing_can_be_written()

    memory.forget()

    assert memory.recall() is None


def test_forget_removes_it(tmp_path: Path) -> None:
    memory = StickSockets("5a1c0e01", tmp_path)
    memory.keep(LEARNED)

    memory.forget()

    assert (memory.recall(), list(tmp_path.iterdir())) == (None, [])


def test_forget_sockets_removes_those_of_all_users(tmp_path: Path) -> None:
    for uid in (0, 4711):
        file_of(tmp_path, uid=uid).touch()
    file_of(tmp_path, "5a1c0e02").touch()

    forget_sockets(tmp_path, "5a1c0e01")

    assert list(tmp_path.iterdir()) == [file_of(tmp_path, "5a1c0e02")]


def test_of_others_skips_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    StickSockets("5a1c0e02", tmp_path).keep(OTHER)
    file_of(tmp_path, "00000000", 4711).symlink_to("nowhere")
    file_of(tmp_path, "00000001", 4711).mkdir()
    os.mkfifo(file_of(tmp_path, "00000002", 4711))
    file_of(tmp_path, "00000003", 4711).write_text("garbage")

    assert StickSockets("5a1c0e01", tmp_path).of_others() == [("5a1c0e02", OTHER)]


def serial_file(sys: Path, place: str) -> Path:
    file = sys / "bus/usb/devices" / place / "serial"
    file.parent.mkdir(parents=True)
    return file


def test_board_is_at_finds_a_board_by_its_serial_number(tmp_path: Path) -> None:
    serial_file(tmp_path, "1-2.4").write_text("5a1c0e01\n")

    assert board_is_at(tmp_path, "1-2.4", "5a1c0e01")
    assert not board_is_at(tmp_path, "1-2.4", "5a1c0e02")
    assert not board_is_at(tmp_path, "1-3", "5a1c0e01")


@pytest.mark.parametrize("place", ["{0}/evil", "../../../evil", "1-1/../../../../evil", "", ".", "1-1"])
def test_board_is_at_opens_no_other_file_and_waits_for_none(tmp_path: Path, place: str) -> None:
    sys = tmp_path / "sys"
    os.mkfifo(serial_file(sys, "1-1"))
    (tmp_path / "evil").mkdir()
    os.mkfifo(tmp_path / "evil/serial")
    asked = Process(target=board_is_at, args=(sys, place.format(tmp_path), "5a1c0e01"))
    asked.start()
    asked.join(30)
    is_stuck = asked.is_alive()
    asked.kill()
    asked.join()

    assert not is_stuck


def test_board_is_at_follows_no_link_to_another_file(tmp_path: Path) -> None:
    serial_file(tmp_path, "1-1").symlink_to(tmp_path / "mine")
    (tmp_path / "mine").write_text("5a1c0e01")

    assert not board_is_at(tmp_path, "1-1", "5a1c0e01")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_of_others_names_the_file_of_another_user(tmp_path: Path) -> None:
    StickSockets("5a1c0e02", tmp_path).keep(OTHER)
    own = StickSockets("5a1c0e01", tmp_path).of_others()[0][1].source
    os.chown(file_of(tmp_path, "5a1c0e02"), 12345, 12345)

    other = StickSockets("5a1c0e01", tmp_path).of_others()[0][1].source

    assert (own, other) == ("", str(file_of(tmp_path, "5a1c0e02")))


def test_recall_gives_the_bystanders_until_the_system_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = replace(LEARNED, bystanders=frozenset({"2-9 3 sdb 8:16 4"}))
    StickSockets("5a1c0e01", tmp_path).keep(learned)
    before = StickSockets("5a1c0e01", tmp_path).recall()
    monkeypatch.setattr("hil.lab.stick_sockets._BOOT", tmp_path / "another")

    assert (before, StickSockets("5a1c0e01", tmp_path).recall()) == (learned, LEARNED)


def flash_file(folder: Path, uid: int) -> Path:
    return folder / f"hil-flash-5a1c0e01-{uid}.json"


def test_unverified_image_tells_every_process_what_a_flash_left_unproven(tmp_path: Path) -> None:
    StickSockets("5a1c0e01", tmp_path).mark_unverified("image.img")
    seen = StickSockets("5a1c0e01", tmp_path).unverified_image()
    StickSockets("5a1c0e01", tmp_path).mark_unverified("")

    assert (seen, StickSockets("5a1c0e01", tmp_path).unverified_image()) == ("image.img", "")


def test_unverified_image_is_what_the_newest_user_says(tmp_path: Path) -> None:
    flash_file(tmp_path, 1).write_text('{"image": "hers", "when": 1}')
    before = StickSockets("5a1c0e01", tmp_path).unverified_image()
    StickSockets("5a1c0e01", tmp_path).mark_unverified("")

    assert (before, StickSockets("5a1c0e01", tmp_path).unverified_image()) == ("hers", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_unverified_image_believes_no_other_user_s_word_of_the_future(tmp_path: Path) -> None:
    StickSockets("5a1c0e01", tmp_path).mark_unverified("mine")
    StickSockets("5a1c0e01", tmp_path).mark_unverified("")
    flash_file(tmp_path, 12345).write_text('{"image": "hers", "when": 1e12}')
    os.chown(flash_file(tmp_path, 12345), 12345, 12345)

    assert StickSockets("5a1c0e01", tmp_path).unverified_image() == ""


@pytest.mark.parametrize("text", ["", "[]", '{"image": "x"}', '{"image": "x", "when": "nan, or so"}', "\x00"])
def test_unverified_image_of_a_spoilt_file_is_nothing(tmp_path: Path, text: str) -> None:
    flash_file(tmp_path, 1).write_text(text)

    assert StickSockets("5a1c0e01", tmp_path).unverified_image() == ""


def test_unverified_image_shows_no_control_characters(tmp_path: Path) -> None:
    flash_file(tmp_path, 1).write_text(json.dumps({"image": "a\x1b[2Jb", "when": 1}))

    assert "\x1b" not in StickSockets("5a1c0e01", tmp_path).unverified_image()


def test_forget_sockets_removes_what_is_known_of_flashes(tmp_path: Path) -> None:
    StickSockets("5a1c0e01", tmp_path).mark_unverified("image.img")

    forget_sockets(tmp_path, "5a1c0e01")

    assert list(tmp_path.iterdir()) == []
