"""Atomic files: a file is replaced as a whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.lab.files import atomic_file
from hil.lab.files.atomic_file import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_write_atomically_keeps_permissions(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text("old")
    file.chmod(0o640)

    write_atomically(file, "new\r\n")

    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new\r\n", 0o640)


def test_write_atomically_gives_a_new_file_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "lab.toml", "new")
    finally:
        os.umask(before)

    assert (tmp_path / "lab.toml").stat().st_mode & 0o777 == 0o640


def test_write_atomically_replaces_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")

    write_atomically(tmp_path / "link", "new")

    assert ((tmp_path / "link").is_symlink(), (tmp_path / "real").read_text()) == (True, "new")


def test_write_atomically_on_a_full_disk_leaves_only_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "lab.toml").write_text("old")
    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "lab.toml", "new")

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("lab.toml", "old")]
