"""Flashing a board's stick: what errors and progress say, on fakes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.dutlink.storage.flashing import SameStick, open_checked
from hil.flash.progress import NoProgress

BLOCK_BYTES = 4096
ZEROS = "0" * 64


@dataclass
class FakeDisk:
    """A claimed stick."""

    node: Path
    written_bytes: int
    usb_names: tuple[str, ...] = ("1234", "5678", "AB00", "2-1")

    def keep_locked(self) -> None:
        """Keep nothing open."""


class FakeStorage:
    """Gives the disks that it was made of, one for each claim."""

    def __init__(self, *disks: FakeDisk) -> None:
        self._disks = list(disks)

    def claim(self, **_: Any) -> FakeDisk:
        return self._disks.pop(0)

    def off(self, **_: Any) -> None:
        """Do nothing."""


class Phases(NoProgress):
    """Notes which phases begin."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, phase: str, _total_bytes: int | None) -> None:
        self.begun.append(phase)


def test_same_stick_names_the_disk_that_was_written_if_another_one_was_claimed_since() -> None:
    storage: Any = FakeStorage(FakeDisk(Path("/dev/sda"), 512), FakeDisk(Path("/dev/sdb"), 0))
    stick = SameStick(storage.claim, storage.off, NoProgress())

    stick.reattach()
    stick.reattach()

    assert stick.written == "up to 512 bytes were written to sda before that"


def test_open_checked_reports_the_check_of_a_block_map_to_its_progress(tmp_path: Path) -> None:
    storage: Any = FakeStorage()
    data = bytes(510) + b"\x55\xaa" + bytes(BLOCK_BYTES - 512)
    image = tmp_path / "os.img"
    image.write_bytes(data)
    text = (
        f'<?xml version="1.0" ?><bmap version="1.4"><ImageSize>{BLOCK_BYTES}</ImageSize>'
        f"<BlockSize>{BLOCK_BYTES}</BlockSize><BlocksCount>1</BlocksCount>"
        f"<MappedBlocksCount>1</MappedBlocksCount><ChecksumType>sha256</ChecksumType>"
        f"<BmapFileChecksum>{ZEROS}</BmapFileChecksum>"
        f'<BlockMap><Range chksum="{hashlib.sha256(data).hexdigest()}">0</Range></BlockMap></bmap>'
    )
    own = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "os.img.bmap").write_text(text.replace(ZEROS, own))
    progress = Phases()

    open_checked(storage.off, image, True, progress, earlier=None)

    assert progress.begun == ["check"]
