"""The six settings that a board keeps in its flash."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from hil.dutlink.console.sanitize import sanitize_line, sanitize_text
from hil.dutlink.noun import Noun
from hil.dutlink.power.sequence import PowerSequence, is_same_sequence
from hil.dutlink.usb.protocol import FIELD_SIZES, ConfigKey, Request
from hil.errors import BoardReplyError, SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.dutlink.usb.control_link import ControlLink

__all__ = ["BoardSettings", "Settings", "differing_sequences", "encode"]


@dataclass(frozen=True, slots=True)
class Settings:
    r"""The settings of a board, as text that files, databases and terminals take.

    A byte that is not UTF-8, and a character that no terminal should get, are replaced by their number
    (`\xff`, `\x1b`). `BoardSettings.write` stores no such character; other programs may have.

    Attributes:
        name: Up to 64 bytes.
        tags: Up to 256 bytes, as stored; `tag_list` splits them.
        usb_console: Up to 64 bytes: the DUT's own console, if its console is not the board's UART.
        power_on: A power sequence of up to 32 bytes; if it is empty, on just switches the supply.
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
        """The tags, which commas or white space separate."""
        return self.tags.replace(",", " ").split()


class BoardSettings(Noun):
    """Read and write the settings of a board.

    Every method raises `BoardFaultError` or `BoardLostError` if the board does not take a request.

    Attributes:
        last_read: The settings that this object read last, or None.
    """

    last_read: Settings | None

    _hint = "settings.write(name=...) stores a setting, and settings.read() returns all"

    def __init__(self, link: ControlLink) -> None:
        self._link = link
        self.last_read = None

    def __repr__(self) -> str:
        return f"<BoardSettings of board {self._link.serial}>"

    def read(self) -> Settings:
        """Return the settings, from a new snapshot of the board.

        Raises:
            BoardReplyError: A reply is longer than its field.
        """
        return self._decoded(self._read_stored())

    def _read_stored(self) -> dict[ConfigKey, bytes]:
        replies = self._link.snapshot_read(*((Request.CONFIG, key) for key in ConfigKey))
        return {key: self._value(key, reply) for key, reply in zip(ConfigKey, replies, strict=True)}

    def _decoded(self, stored: Mapping[ConfigKey, bytes]) -> Settings:
        self.last_read = Settings(**{key.name.lower(): _decode(key, value) for key, value in stored.items()})
        return self.last_read

    def write(self, **changes: str) -> Settings:
        """Store settings, and return all settings as they are afterwards.

        All are checked before the first is sent. Only settings that differ are sent, since each write costs a
        block of flash. Each is read back.

        Raises:
            SettingError: A setting does not exist or does not fit, or (`SequenceError`) the board would not
                understand a power sequence; nothing was sent.
            BoardReplyError: The board stored something else.
        """
        wanted = {_key(name): encode(name, value) for name, value in changes.items()}
        stored = self._read_stored()
        for key, value in wanted.items():
            if stored[key] != value:
                self._write_one(key, value)
        return self.read() if wanted else self._decoded(stored)

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

    def _value(self, key: ConfigKey, reply: bytes) -> bytes:
        if len(reply) > FIELD_SIZES[key]:
            raise BoardReplyError(
                f"board {self._link.serial} answered {len(reply)} bytes for {key.name.lower()}",
                why=f"the field has {FIELD_SIZES[key]}",
                remedy="compare its firmware's version",
                serial=self._link.serial,
            )
        return reply.split(b"\0", 1)[0]


def encode(name: str, value: str) -> bytes:
    """Return the bytes of a setting, after checking that the board would keep and understand them.

    Raises:
        SettingError: The value cannot be stored, or the board would cut or misread it.
    """
    key = _key(name)
    if not isinstance(value, str):
        raise SettingError(f"{name} must be text, not {value!r}", remedy='"" clears a setting')
    try:
        data = value.encode(errors="surrogateescape")  # an argument in a locale that is not UTF-8
    except UnicodeEncodeError as error:
        raise SettingError(f"{name} cannot be stored", why=str(error), remedy="use plain text") from None
    size = FIELD_SIZES[key]
    if len(data) > size:
        why = f"it has {len(data)} bytes, the board keeps {size} and cuts the rest without a word"
        raise SettingError(f"{name} is too long", why=why, remedy=f"shorten it by {len(data) - size} bytes")
    if b"\0" in data:
        raise SettingError(f"{name} has a NUL in it", why="the board takes it for the end", remedy="drop it")
    if key in (ConfigKey.POWER_ON, ConfigKey.POWER_OFF, ConfigKey.POWER_RESCUE):
        PowerSequence.parse(value)
    if _decode(key, data) != data.decode(errors="replace"):
        why = "it has bytes that are not UTF-8, or characters that cannot be seen"
        raise SettingError(
            f"{name} '{_decode(key, data)}' cannot be stored", why=why, remedy="use plain text"
        )
    return data


def differing_sequences(wanted: Mapping[str, str], stored: Settings) -> dict[str, str]:
    """Return the wanted sequences that differ from those stored, by the name of their setting."""
    return {name: text for name, text in wanted.items() if not is_same_sequence(text, getattr(stored, name))}


def _key(name: str) -> ConfigKey:
    try:
        return ConfigKey[name.upper()]
    except KeyError:
        known = ", ".join(field.name for field in fields(Settings))
        raise SettingError(f"there is no setting {name!r}", remedy=f"one of {known}") from None


def _decode(key: ConfigKey, stored: bytes) -> str:
    show = sanitize_text if key is ConfigKey.TAGS else sanitize_line  # line ends and tabs separate tags
    return show(stored.decode(errors="backslashreplace"))
