"""The settings in flash: blocks, wear, and damaged files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.sim.board.settings_flash import BLOCK_BYTES, FLASH_BYTES, Block, Field, SettingsFlash
from tests.support.board_bench import BoardBench

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = bytes.fromhex("efbe1d60")


def named(name: bytes) -> Block:
    return Block().with_field(Field.NAME, name)


def written(*names: bytes) -> tuple[bytearray, SettingsFlash]:
    sector = bytearray()
    flash = SettingsFlash(sector)
    for name in names:
        flash.write(named(name))
    return sector, flash


def test_fresh_flash_holds_empty_settings() -> None:
    _, flash = written()

    assert flash.current() == Block()
    assert flash.blocks_used == 0


def test_block_is_laid_out_as_the_firmware_lays_it_out() -> None:
    block = Block()
    for field in Field:
        block = block.with_field(field, field.label.encode())

    assert [block.raw.index(name + b"\0") for name in (b"name", b"tags", b"usb_console", b"power_on")] == [
        0,
        64,
        320,
        384,
    ]
    assert [block.raw.index(name + b"\0") for name in (b"power_off", b"power_rescue", b"json")] == [
        416,
        448,
        480,
    ]
    assert block.raw[992:1020] == bytes(28)
    assert block.raw[1020:] == MAGIC


def test_each_write_takes_the_next_block() -> None:
    sector, flash = written(b"one", b"two")

    assert (sector[:4], sector[BLOCK_BYTES : BLOCK_BYTES + 4]) == (b"one\0", b"two\0")
    assert flash.current() == named(b"two")


def test_seventeenth_write_erases_the_sector_first() -> None:
    sector, flash = written(*(b"%d" % number for number in range(17)))

    assert (flash.blocks_used, flash.erases) == (1, 1)
    assert sector[:3] == b"16\0"
    assert sector[BLOCK_BYTES:] == b"\xff" * (FLASH_BYTES - BLOCK_BYTES)


def test_settings_survive_a_restart(tmp_path: Path) -> None:
    SettingsFlash(tmp_path / "flash").write(named(b"bob"))

    assert SettingsFlash(tmp_path / "flash").current() == named(b"bob")


def test_settings_survive_an_unplugged_board() -> None:
    bench = BoardBench()
    bench.set_config(0, b"bob")

    bench.board.power_loss()
    bench.board.power_up()

    assert bench.state["settings"]["name"] == "bob"


def test_foreign_block_makes_the_board_erase_the_sector_at_start() -> None:
    sector, flash = written(b"one")
    sector[-4:] = b"junk"

    flash.start()

    assert (flash.blocks_used, flash.erases) == (0, 1)


def test_file_that_ends_early_reads_as_erased_from_there(tmp_path: Path) -> None:
    path = tmp_path / "flash"
    path.write_bytes(written(b"one", b"two")[0][: BLOCK_BYTES + 100])
    flash = SettingsFlash(path)

    flash.start()

    assert flash.current() == named(b"one")


def test_torn_block_is_written_over_and_clears_more_bits() -> None:
    sector, flash = written(b"\x0f")
    sector[BLOCK_BYTES] = 0xF0

    flash.write(named(b"\x3c"))

    assert flash.current().text(Field.NAME) == b"\x30"


def test_settings_flash_write_into_a_gap_changes_no_setting() -> None:
    sector, flash = written(b"one", b"two", b"three")
    sector[BLOCK_BYTES : 2 * BLOCK_BYTES] = b"\xff" * BLOCK_BYTES

    flash.write(named(b"four"))

    assert flash.current() == named(b"three")


def test_settings_flash_with_garbage_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "flash"
    path.write_bytes(b"not flash " * 9000)

    bench = BoardBench(path)

    assert bench.state["flash"] == {"blocks_used": 0, "erases": 1}
    assert path.read_bytes() == b"\xff" * FLASH_BYTES


@pytest.mark.parametrize("field", list(Field), ids=lambda field: field.label)
def test_settings_flash_cuts_a_value_to_its_field(field: Field) -> None:
    block = Block().with_field(field, b"y" * 600)

    assert block.text(field) == b"y" * field.size_bytes
    assert all(block.get(other) == bytes(other.size_bytes) for other in Field if other is not field)


@given(st.lists(st.tuples(st.sampled_from(Field), st.binary(max_size=600)), max_size=40))
def test_settings_flash_returns_the_last_written_settings(changes: list[tuple[Field, bytes]]) -> None:
    flash = SettingsFlash(bytearray())
    expected = {field: bytes(field.size_bytes) for field in Field}

    for field, value in changes:
        flash.write(flash.current().with_field(field, value))
        expected[field] = value[: field.size_bytes].ljust(field.size_bytes, b"\0")

    assert {field: flash.current().get(field) for field in Field} == expected
