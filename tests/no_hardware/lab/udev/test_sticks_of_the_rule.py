"""Sticks in the udev rule: those that were seen to follow their boards' muxes, and no other disk."""

from __future__ import annotations

import fnmatch
import os
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.storage.stick_memory import LearnedSocket
from hil.dutlink.storage.usb_sockets import StickNames
from hil.lab.stick_sockets import StickSockets
from hil.lab.udev.rule import install_rule, is_this_version, known_sticks, rule_text, unopened_sticks

if TYPE_CHECKING:
    from pathlib import Path

BOARD, OTHER = "0df10035", "5a1c0e01"
CONTROLLER = "devices/pci0000:00/0000:00:14.0"


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """A machine with a hub in socket 2-1; nothing is in its sockets now."""
    folder = tmp_path / "sys"
    for link, device in {"usb2": "usb2", "2-1": "usb2/2-1"}.items():
        (folder / CONTROLLER / device).mkdir(parents=True)
        (folder / "bus/usb/devices").mkdir(parents=True, exist_ok=True)
        (folder / "bus/usb/devices" / link).symlink_to(folder / CONTROLLER / device)
    return folder


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    folder = tmp_path / "locks"
    folder.mkdir()
    return folder


def learn(locks: Path, board: str, socket: str) -> None:
    StickSockets(board, locks).keep(
        LearnedSocket("1-1", socket, StickNames("abcd", "1234", "S", 1 << 20), 3.5)
    )


def opened_by(rule: str, path: str) -> bool:
    """Return True if a rule opens the disk with that device path; udev matches as fnmatch(3) does."""
    wanted = [
        line.partition('DEVPATH=="')[2].partition('"')[0] for line in rule.splitlines() if "DEVPATH" in line
    ]
    return any(fnmatch.fnmatchcase(path, one) for one in wanted)


@pytest.mark.parametrize(
    ("socket", "device"), [("2-1.3", "usb2/2-1/2-1.3"), ("2-4", "usb2/2-4"), ("2-1", "usb2/2-1")]
)
def test_rule_text_opens_a_stick_at_its_socket(sys: Path, locks: Path, socket: str, device: str) -> None:
    learn(locks, BOARD, socket)

    rule = rule_text(known_sticks(sys, locks))

    disk = f"{socket}:1.0/host6/target6:0:0/6:0:0:0/block/sda"
    assert opened_by(rule, f"/{CONTROLLER}/{device}/{disk}")
    assert not opened_by(rule, f"/{CONTROLLER}/usb2/2-9/2-9:1.0/host6/target6:0:0/6:0:0:0/block/sda")


def test_rule_text_opens_no_disk_of_a_hub_at_the_socket(sys: Path, locks: Path) -> None:
    learn(locks, BOARD, "2-1.3")

    rule = rule_text(known_sticks(sys, locks))

    disk = "2-1.3.1:1.0/host6/target6:0:0/6:0:0:0/block/sda"
    assert not opened_by(rule, f"/{CONTROLLER}/usb2/2-1/2-1.3/2-1.3.1/{disk}")


def test_known_sticks_leaves_out_a_missing_socket(sys: Path, locks: Path) -> None:
    learn(locks, BOARD, "9-1")

    assert known_sticks(sys, locks) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
def test_known_sticks_ignores_files_of_other_users(sys: Path, locks: Path) -> None:
    learn(locks, BOARD, "2-1.3")
    for file in locks.iterdir():
        os.chown(file, 4711, -1)

    assert known_sticks(sys, locks) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
def test_known_sticks_believes_the_caller_of_sudo(
    sys: Path, locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(locks, BOARD, "2-1.3")
    for file in locks.iterdir():
        os.chown(file, 4711, -1)
    monkeypatch.setenv("SUDO_UID", "4711")

    assert [stick.board for stick in known_sticks(sys, locks)] == [BOARD]


def test_install_rule_keeps_sticks_of_the_installed_rule(
    sys: Path, locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no udevadm
    learn(locks, BOARD, "2-1.3")
    file = install_rule(tmp_path, known_sticks(sys, locks)).rule
    for learned in locks.iterdir():
        learned.unlink()
    learn(locks, OTHER, "2-4")

    again = known_sticks(sys, locks, file)

    assert [(stick.board, stick.socket) for stick in again] == [(BOARD, "2-1.3"), (OTHER, "2-4")]


def test_known_sticks_replaces_an_old_socket(
    sys: Path, locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    learn(locks, BOARD, "2-1.3")
    file = install_rule(tmp_path, known_sticks(sys, locks)).rule
    learn(locks, BOARD, "2-4")

    assert [stick.socket for stick in known_sticks(sys, locks, file)] == ["2-4"]


def test_unopened_sticks_lists_sticks_until_the_rule_is_installed_again(
    sys: Path, locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    file = install_rule(tmp_path, known_sticks(sys, locks)).rule
    learn(locks, BOARD, "2-1.3")
    before = unopened_sticks(sys, locks, file)

    install_rule(tmp_path, known_sticks(sys, locks, file))

    assert ([stick.socket for stick in before], unopened_sticks(sys, locks, file)) == (["2-1.3"], [])


def test_is_this_version_accepts_a_rule_with_sticks(sys: Path, locks: Path) -> None:
    learn(locks, BOARD, "2-1.3")
    text = rule_text(known_sticks(sys, locks))

    assert is_this_version(text)
    assert not is_this_version(text.replace('MODE="0660"', 'MODE="0666"'))
