"""Files of the lock folder: new ones are complete, and errors for spoilt ones name owner and remedy."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.errors import SpoiltFileError
from hil.lab.locks import shared_file
from hil.lab.locks.shared_file import open_shared, read_shared, replace_shared
from tests.support.other_user import MALLORY, VICTIM, as_user, folder_for_everybody, only_root
from tests.support.programs import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for everybody, under a umask that would keep the others out."""
    with folder_for_everybody() as folder:
        before = os.umask(0o077)
        yield folder
        os.umask(before)


def closed(descriptor: int) -> None:
    os.close(descriptor)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()  # noqa: PTH109 - a socket's name is short
        os.chdir(path.parent)
        listener.bind(path.name)
        os.chdir(before)


def second_name(path: Path) -> None:
    precious = path.with_name("precious")
    precious.write_text("mine")
    precious.chmod(0o600)
    path.hardlink_to(precious)


SPOILT: dict[str, Callable[[Path], None]] = {
    "a named pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to(path.with_name("nowhere")),
    "a socket": socket_at,
    "a second name": second_name,
}


def test_open_shared_makes_a_file_for_everybody_whatever_the_umask(folder: Path) -> None:
    closed(open_shared(folder / "a", b"content"))

    assert (folder / "a").stat().st_mode & 0o777 == 0o666
    assert (folder / "a").read_bytes() == b"content"


@pytest.mark.parametrize("refused", ["O_TMPFILE", "renameat2", "neither"])
def test_open_shared_makes_the_same_file_where_the_file_system_knows_less(
    folder: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    if refused != "neither":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)  # EISDIR, as old file systems say
    if refused == "renameat2":
        monkeypatch.setattr(shared_file, "_RENAME_NOREPLACE", 1 << 20)  # EINVAL, as NFS says
    closed(open_shared(folder / "a", b"content"))

    assert ((folder / "a").stat().st_mode & 0o777, (folder / "a").read_bytes()) == (0o666, b"content")
    assert [path.name for path in folder.iterdir()] == ["a"]


MAKE_UNTIL_KILLED = """
import itertools, sys
from pathlib import Path
from hil.lab.locks.shared_file import open_shared
print("ready", flush=True)
for number in itertools.count():
    open_shared(Path(sys.argv[1]) / str(number), b"x" * 4096)
"""


@pytest.mark.thorough
def test_open_shared_leaves_no_half_made_file_when_its_maker_is_killed(folder: Path) -> None:
    with running(
        [sys.executable, "-c", MAKE_UNTIL_KILLED, str(folder)], stdout=subprocess.PIPE, umask=0o077
    ) as maker:
        maker.stdout.readline()
        assert until(lambda: len(list(folder.iterdir())) >= 50, 60)
    made = [path.stat() for path in folder.iterdir()]

    assert {(facts.st_mode & 0o777, facts.st_size) for facts in made} == {(0o666, 4096)}


@pytest.mark.parametrize("kind", SPOILT)
def test_open_shared_refuses_what_is_no_file_and_says_what_to_type(folder: Path, kind: str) -> None:
    SPOILT[kind](folder / "a")

    for opens in (open_shared, lambda path: read_shared(path, 10)):
        if kind == "a second name" and opens is not open_shared:
            continue  # reading it does no harm
        with pytest.raises(SpoiltFileError) as caught:
            opens(folder / "a")
        told = f"{caught.value.what} {caught.value.why}"
        assert kind in told
        assert str(folder / "a") in told
        assert f"(uid {os.geteuid()})" in told
        assert "sudo rm" in caught.value.remedy


def test_open_shared_takes_a_lock_file_that_got_a_second_name(folder: Path) -> None:
    closed(open_shared(folder / "a"))
    (folder / "b").hardlink_to(folder / "a")

    closed(open_shared(folder / "a"))


def test_read_shared_reads_no_more_than_it_is_asked_for(folder: Path) -> None:
    closed(open_shared(folder / "a"))
    os.truncate(folder / "a", 3 << 30)

    assert read_shared(folder / "a", 4096) == bytes(4096)


@pytest.mark.parametrize("kind", SPOILT)
def test_replace_shared_puts_a_file_in_the_place_of_anything_and_destroys_nothing(
    folder: Path, kind: str
) -> None:
    SPOILT[kind](folder / "a")
    replace_shared(folder / "a", b"new")

    assert (folder / "a").read_bytes() == b"new"
    assert not (folder / "nowhere").exists()
    assert kind != "a second name" or (folder / "precious").read_text() == "mine"


def test_open_shared_names_a_full_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shared_file, "_finish", full)

    with pytest.raises(SpoiltFileError, match=f"no room in {folder}"):
        open_shared(folder / "a", b"x")
    assert list(folder.iterdir()) == []


@only_root
def test_open_shared_restores_mode_000_for_owner_and_root(folder: Path) -> None:
    def close_it() -> None:
        closed(open_shared(folder / "a"))
        (folder / "a").chmod(0)

    as_user(MALLORY, close_it)
    with pytest.raises(SpoiltFileError, match=f"mode 0000 of uid {MALLORY}") as caught:
        as_user(VICTIM, lambda: closed(open_shared(folder / "a")))
    assert f"sudo chmod 666 {folder / 'a'}" in caught.value.remedy

    as_user(MALLORY, lambda: closed(open_shared(folder / "a")))
    as_user(VICTIM, lambda: closed(open_shared(folder / "a")))


@only_root
def test_replace_shared_refuses_another_users_file(folder: Path) -> None:
    as_user(MALLORY, lambda: os.mkfifo(folder / "a"))

    with pytest.raises(SpoiltFileError, match=f"a named pipe of uid {MALLORY}"):
        as_user(VICTIM, lambda: replace_shared(folder / "a", b"new"))


@only_root
def test_open_shared_tells_the_mode_that_files_of_a_group_folder_have(folder: Path) -> None:
    os.chown(folder, 0, 60_009)
    folder.chmod(0o3770)
    (folder / "a").touch()
    os.chown(folder / "a", MALLORY, 60_009)
    (folder / "a").chmod(0o640)

    with pytest.raises(SpoiltFileError) as caught:
        as_user(VICTIM, lambda: closed(open_shared(folder / "a")), gid=60_009)

    assert f"sudo chmod 660 {folder / 'a'}" in caught.value.remedy


@only_root
def test_open_shared_makes_files_of_a_group_folder_for_the_group(folder: Path) -> None:
    lab = 60_009
    os.chown(folder, 0, lab)
    folder.chmod(0o3770)
    as_user(MALLORY, lambda: closed(open_shared(folder / "a")), gid=lab)
    facts = (folder / "a").stat()

    assert (facts.st_mode & 0o777, facts.st_gid) == (0o660, lab)
    as_user(VICTIM, lambda: closed(open_shared(folder / "a")), gid=lab)
    with pytest.raises(SpoiltFileError):
        as_user(VICTIM, lambda: closed(open_shared(folder / "a")))
