"""The six settings that a board keeps in its flash."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from hil.dutlink.noun import Noun
from hil.dutlink.power.sequence import Sequence
from hil.dutlink.usb.protocol import FIELD_SIZES, ConfigKey, Request
from hil.errors import BoardReplyError, SettingError

if TYPE_CHECKING:
    from hil.dutlink.usb.control_link import ControlLink

__all__ = ["BoardSettings", "Settings", "encode"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a board keeps, as text.

    UTF-8; a byte that is none comes back as a lone surrogate (`surrogateescape`), so that nothing that
    somebody stored is lost, or makes the other settings unreadable.

    Attributes:
        name: Up to 64 bytes.
        tags: Up to 256 bytes, as stored; `tag_list` takes them apart.
        usb_console: Up to 64 bytes: the DUT's own console, where it is not the board's UART.
        power_on: A power sequence, up to 32 bytes; empty: on switches the supply.
        power_off: The same for off.
        power_rescue: The same for rescue.
    """

    name: str = ""
    tags: str = ""
    usb_console: str = ""
    power_on: str = ""
    power_off: str = ""
    power_rescue: str = ""

    @property
    def tag_list(self) -> list[str]:
        """The tags, between commas or white space."""
        return self.tags.replace(",", " ").split()


class BoardSettings(Noun):
    """Reads and writes them.

    Every method raises `BoardFaultError` or `BoardLostError` when the board does not take a request.

    Attributes:
        last_read: The settings as they were read last through this object; None: they were not.
    """

    last_read: Settings | None

    _hint = "settings.write(name=...) stores a setting, and settings.read() returns all"

    def __init__(self, link: ControlLink) -> None:
        self._link = link
        self.last_read = None

    def __repr__(self) -> str:
        return f"<BoardSettings of board {self._link.serial}>"

    def read(self) -> Settings:
        """Have the board take a snapshot, and return its settings.

        Raises:
            BoardReplyError: A reply is longer than its field.
        """
        replies = self._link.snapshot_read(*((Request.CONFIG, key) for key in ConfigKey))
        values = zip(ConfigKey, replies, strict=True)
        self.last_read = Settings(**{key.name.lower(): self._decode(key, reply) for key, reply in values})
        return self.last_read

    def write(self, **changes: str) -> Settings:
        """Store settings, and return all of them as they are afterwards.

        All are checked before the first is sent. Only those that differ are sent, since each costs a block
        of flash, and each is read back.

        Raises:
            SettingError: A setting that does not exist, does not fit, or (`SequenceError`) a power sequence
                that means something else than it seems to; nothing was sent.
            BoardReplyError: The board kept something else.
        """
        wanted = {_key(name): encode(name, value) for name, value in changes.items()}
        now = self.read()
        for key, value in wanted.items():
            if _stored(now, key) != value:
                self._write_one(key, value)
        return self.read() if wanted else now

    def _write_one(self, key: ConfigKey, value: bytes) -> None:
        self._link.control_out(Request.CONFIG, key, value)
        kept = self._link.read_setting(key)
        if kept != value:
            raise BoardReplyError(
                f"board {self._link.serial} did not keep {key.name.lower()}",
                why=f"it was given {value!r} and kept {kept!r}",
                remedy="write it again; if it stays, its settings flash is worn out",
                serial=self._link.serial,
            )

    def _decode(self, key: ConfigKey, reply: bytes) -> str:
        if len(reply) > FIELD_SIZES[key]:
            raise BoardReplyError(
                f"board {self._link.serial} answered {len(reply)} bytes for {key.name.lower()}",
                why=f"the field has {FIELD_SIZES[key]}",
                remedy="compare its firmware's version",
                serial=self._link.serial,
            )
        return reply.split(b"\0", 1)[0].decode(errors="surrogateescape")


def encode(name: str, value: str) -> bytes:
    """Turn a setting into the bytes to send, having checked that the board would keep and follow them.

    Raises:
        SettingError: It would not.
    """
    key = _key(name)
    if not isinstance(value, str):
        raise SettingError(f"{name} must be text, not {value!r}", remedy='"" clears a setting')
    try:
        data = value.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise SettingError(f"{name} cannot be stored", why=str(error), remedy="use plain text") from None
    size = FIELD_SIZES[key]
    if len(data) > size:
        why = f"it has {len(data)} bytes, the board keeps {size} and cuts the rest without a word"
        raise SettingError(f"{name} is too long", why=why, remedy=f"shorten it by {len(data) - size} bytes")
    if b"\0" in data:
        raise SettingError(f"{name} has a NUL in it", why="the board takes it for the end", remedy="drop it")
    if key in (ConfigKey.POWER_ON, ConfigKey.POWER_OFF, ConfigKey.POWER_RESCUE):
        Sequence.parse(value)
    return data


def _key(name: str) -> ConfigKey:
    try:
        return ConfigKey[name.upper()]
    except KeyError:
        known = ", ".join(field.name for field in fields(Settings))
        raise SettingError(f"there is no setting {name!r}", remedy=f"one of {known}") from None


def _stored(settings: Settings, key: ConfigKey) -> bytes:
    value: str = getattr(settings, key.name.lower())
    return value.encode(errors="surrogateescape")
