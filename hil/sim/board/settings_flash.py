"""Flash memory of the settings: sixteen blocks of 1 KiB, used one after the other (firmware: config.rs)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["BLOCK_BYTES", "FLASH_BYTES", "Block", "Field", "SettingsFlash"]

BLOCK_BYTES: Final = 1024
_BLOCKS: Final = 16
FLASH_BYTES: Final = _BLOCKS * BLOCK_BYTES
_MAGIC: Final = (0x601DBEEF).to_bytes(4, "little")
_ERASED: Final = b"\xff"


class Field(enum.Enum):
    """The settings, each with its name, its offset in the block and its size in bytes."""

    NAME = ("name", 0, 64)
    TAGS = ("tags", 64, 256)
    USB_CONSOLE = ("usb_console", 320, 64)
    POWER_ON = ("power_on", 384, 32)
    POWER_OFF = ("power_off", 416, 32)
    POWER_RESCUE = ("power_rescue", 448, 32)
    JSON = ("json", 480, 512)

    def __init__(self, label: str, offset: int, size_bytes: int) -> None:
        self.label = label
        self.offset = offset
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class Block:
    """One set of settings in 1024 bytes. The last four, the magic word, tell whether it is valid."""

    raw: bytes = bytes(BLOCK_BYTES - 4) + _MAGIC

    @property
    def is_valid(self) -> bool:
        """Whether the magic word is correct."""
        return self.raw[-4:] == _MAGIC

    @property
    def is_foreign(self) -> bool:
        """Whether the magic word is neither correct nor erased."""
        return not self.is_valid and self.raw[-4:] != _ERASED * 4

    def get(self, field: Field) -> bytes:
        """Return a whole field, with the NULs after its value."""
        return self.raw[field.offset : field.offset + field.size_bytes]

    def text(self, field: Field) -> bytes:
        """Return a field's value up to the first NUL."""
        return self.get(field).partition(b"\0")[0]

    def with_field(self, field: Field, value: bytes) -> Block:
        """Return a copy with one field changed; the value is cut to the field's size or filled with NULs."""
        kept = value[: field.size_bytes].ljust(field.size_bytes, b"\0")
        end = field.offset + field.size_bytes
        return Block(self.raw[: field.offset] + kept + self.raw[end:])


class SettingsFlash:
    """One 16 KiB sector. A write only clears bits; erasing the sector sets them.

    Args:
        store: A file, which is created with the first write, or a bytearray. Missing bytes count as erased.
    """

    def __init__(self, store: Path | bytearray) -> None:
        self._path = store if isinstance(store, Path) else None
        self._sector = store if isinstance(store, bytearray) else bytearray()
        self.erases = 0
        self._load()

    @property
    def blocks_used(self) -> int:
        """Number of valid blocks; the seventeenth write erases the sector."""
        return sum(block.is_valid for block in self._blocks())

    def start(self) -> None:
        """Erase a sector with foreign data, as the firmware does at power-up."""
        self._load()
        if any(block.is_foreign for block in self._blocks()):
            self._erase()

    def current(self) -> Block:
        """Return the last valid block, or empty settings if there is none."""
        return next((block for block in reversed(self._blocks()) if block.is_valid), Block())

    def write(self, block: Block) -> None:
        """Write settings into the first block that is not valid; if there is none, erase the sector first."""
        free = next((number for number, old in enumerate(self._blocks()) if not old.is_valid), None)
        if free is None:
            self._erase()
            free = 0
        begin = free * BLOCK_BYTES
        for at, byte in enumerate(block.raw, begin):
            self._sector[at] &= byte
        self._save()

    def _blocks(self) -> list[Block]:
        sector = bytes(self._sector)
        return [Block(sector[at : at + BLOCK_BYTES]) for at in range(0, FLASH_BYTES, BLOCK_BYTES)]

    def _load(self) -> None:
        if self._path is not None:
            self._sector[:] = self._path.read_bytes() if self._path.exists() else b""
        del self._sector[FLASH_BYTES:]
        self._sector.extend(_ERASED * (FLASH_BYTES - len(self._sector)))

    def _erase(self) -> None:
        self._sector[:] = _ERASED * FLASH_BYTES
        self.erases += 1
        self._save()

    def _save(self) -> None:
        if self._path is not None:
            self._path.write_bytes(self._sector)
