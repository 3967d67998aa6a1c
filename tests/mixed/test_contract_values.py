"""What a board tells: the same kinds of values, in the same units, from a real one and a simulated one."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.discovery import list_boards, probe
from hil.dutlink.power.reading import PowerReading
from hil.dutlink.usb.firmware import FirmwareVersion
from hil.dutlink.usb.protocol import FIELD_SIZES, ConfigKey
from hil.errors import Verdict

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.dutlink.power.power import Power
    from hil.dutlink.storage.storage import Storage

pytestmark = pytest.mark.mixed


def test_a_reading_has_volts_amps_and_watts_as_numbers(power: Power) -> None:
    reading = power.read()

    assert [type(value) for value in reading] == [float, float, float]


def test_a_reading_is_in_plain_volts_and_amperes(power: Power) -> None:
    power.force_off()

    reading = power.read()

    assert abs(reading.volts) < 60
    assert abs(reading.amps) < 10


def test_a_reading_can_be_written_down_and_read_again(power: Power) -> None:
    reading = power.read()

    assert PowerReading.parse(reading.format().encode()) == reading


def test_the_firmware_is_a_release_that_can_be_compared(dutlink: Board) -> None:
    assert FirmwareVersion(0, 8) <= dutlink.firmware < FirmwareVersion(100, 0)


def test_the_six_settings_are_text_that_fits_their_fields(dutlink: Board) -> None:
    settings = dutlink.settings.read()

    sizes = {key.name.lower(): size for key, size in FIELD_SIZES.items()}
    assert {field.name for field in fields(settings)} == {key.name.lower() for key in ConfigKey}
    assert all(len(getattr(settings, name).encode(errors="surrogateescape")) <= sizes[name] for name in sizes)


def test_writing_nothing_returns_the_settings_as_they_are(dutlink: Board) -> None:
    assert dutlink.settings.write() == dutlink.settings.read()


def test_a_look_finds_the_board_present_while_it_is_in_use(dutlink: Board) -> None:
    result = probe(dutlink.host, dutlink.serial)

    assert (result.verdict, result.serial, result.error) == (Verdict.PRESENT, dutlink.serial, None)


def test_a_listing_tells_each_boards_version_without_an_error(dutlink: Board) -> None:
    listed = {result.serial: result for result in list_boards(dutlink.host)}

    assert str(listed[dutlink.serial].firmware) == str(dutlink.firmware)


def test_a_position_compares_with_its_name(storage: Storage) -> None:
    storage.off()

    assert storage.position == "off"


def test_the_shells_answer_has_neither_echo_nor_prompt(console: Console) -> None:
    answer = console.shell("meter read")

    assert not answer.cut
    assert "meter read" not in answer
    assert "#>" not in answer


def test_every_byte_of_the_transcript_has_a_time(console: Console) -> None:
    console.shell("version")

    times_s = [chunk.monotonic_s for chunk in console.transcript.chunks]
    assert times_s == sorted(times_s)
