"""Bad sticks: bytes that a host process wrote to the node, and the bytes when the stick comes back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from hil.sim.interfaces import MuxPosition
from hil.sim.stick.faulty_store import FaultyStore
from tests.no_hardware.sim.stick.stick_bench import SIZE_BYTES, StickBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = 4096
WRITTEN = random.Random(4).randbytes(1 << 20)  # noqa: S311 - an image, no secret


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[StickBench]:
    bench = StickBench(tmp_path)
    yield bench
    bench.stick.close()


def write(stick: StickBench, data: bytes, offset: int = 0) -> None:
    with stick.node.by_id.open("r+b", buffering=0) as node:
        node.seek(offset)
        assert node.write(data) == len(data)


def flashed(stick: StickBench, data: bytes, offset: int = 0) -> bytes:
    """Write with the stick on the host, and return what is there after it was enumerated again."""
    stick.move(MuxPosition.HOST, 4)
    write(stick, data, offset)
    return again(stick)[offset : offset + len(data)]


def again(stick: StickBench) -> bytes:
    stick.move(MuxPosition.OFF, 1)
    stick.move(MuxPosition.HOST, 4)
    return stick.node.by_id.read_bytes()


def test_flipped_bits_show_when_the_stick_comes_back(stick: StickBench) -> None:
    stick.stick.faults.flip_every = 100_000
    stick.move(MuxPosition.HOST, 4)
    write(stick, WRITTEN)
    cached = stick.node.by_id.read_bytes()[: len(WRITTEN)]

    true = again(stick)[: len(WRITTEN)]

    flips = [at for at, (one, other) in enumerate(zip(WRITTEN, true, strict=True)) if one != other]
    assert cached == WRITTEN
    assert flips == list(range(99_999, len(WRITTEN), 100_000))


def test_dropped_blocks_keep_their_old_content(stick: StickBench) -> None:
    before = flashed(stick, bytes(range(256)) * 4096)
    stick.stick.faults.drop_every = 3
    stick.stick.apply_faults()
    write(stick, WRITTEN)

    true = again(stick)

    blocks = range(0, len(WRITTEN), 512)
    dropped = [at for at in blocks if true[at : at + 512] == before[at : at + 512]]
    assert dropped == list(blocks)[2::3]
    assert all(true[at : at + 512] == WRITTEN[at : at + 512] for at in blocks if at not in dropped)


def test_counterfeit_stick_loses_writes_beyond_its_real_size(stick: StickBench) -> None:
    stick.stick.faults.real_bytes = 300_000

    true = flashed(stick, WRITTEN)

    assert true == WRITTEN[:300_000].ljust(len(WRITTEN), b"\0")


def test_bad_stick_keeps_bytes_that_were_not_written(stick: StickBench) -> None:
    flashed(stick, WRITTEN, offset=0)
    stick.stick.faults.flip_every = 7
    stick.stick.apply_faults()
    write(stick, WRITTEN, offset=4 << 20)

    assert again(stick)[: len(WRITTEN)] == WRITTEN


def test_fault_that_ended_in_time_spoils_no_bytes(stick: StickBench) -> None:
    stick.stick.faults.flip_every = 7
    stick.move(MuxPosition.HOST, 4)
    write(stick, WRITTEN)
    stick.stick.faults.flip_every = 0
    stick.stick.apply_faults()

    assert again(stick)[: len(WRITTEN)] == WRITTEN


def test_fault_spoils_written_bytes_once(stick: StickBench) -> None:
    stick.stick.faults.flip_every = 1000
    first = flashed(stick, WRITTEN)

    assert again(stick)[: len(WRITTEN)] == first


def test_dut_reads_the_bytes_that_a_bad_stick_kept(stick: StickBench) -> None:
    stick.stick.faults.drop_every = 1
    stick.move(MuxPosition.HOST, 4)
    write(stick, WRITTEN)

    stick.move(MuxPosition.DUT)

    assert stick.dut is not None
    assert stick.dut.read(0, PAGE) == bytes(PAGE)


def test_fault_applies_also_if_a_process_keeps_the_node_open(stick: StickBench) -> None:
    stick.stick.faults.drop_every = 1
    stick.move(MuxPosition.HOST, 4)
    with stick.node.by_id.open("r+b", buffering=0) as node:
        node.write(WRITTEN)
        stick.move(MuxPosition.OFF, 1)

    assert stick.file.read(0, PAGE) == bytes(PAGE)


def test_punched_hole_counts_as_a_write(stick: StickBench) -> None:
    flashed(stick, WRITTEN)
    stick.stick.faults.drop_every = 1
    stick.stick.apply_faults()
    with stick.node.by_id.open("r+b") as node:
        node.truncate(0)
        node.truncate(SIZE_BYTES)

    assert again(stick)[: len(WRITTEN)] == WRITTEN


def test_no_copy_is_kept_for_a_good_stick_or_after_a_bad_one(stick: StickBench, tmp_path: Path) -> None:
    stick.stick.faults.flip_every = 7
    flashed(stick, WRITTEN)

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["stick.img"]


def test_stick_that_is_pulled_out_during_a_write_vanishes_from_the_host(stick: StickBench) -> None:
    stick.stick.faults.pull_out(after_bytes=10 * PAGE)
    stick.move(MuxPosition.HOST, 4)
    write(stick, WRITTEN[: 9 * PAGE])
    stick.clock.advance(1)
    early = (stick.node.present, stick.port.device is not None)
    write(stick, WRITTEN[: 20 * PAGE])
    stick.clock.advance(1)

    assert (early, stick.node.present, stick.port.device) == ((True, True), False, None)


@pytest.mark.parametrize("after_bytes", [512, 10 * PAGE, 10 * PAGE + 1536])
def test_stick_that_was_pulled_out_holds_the_first_bytes_only(stick: StickBench, after_bytes: int) -> None:
    stick.stick.faults.pull_out(after_bytes)
    stick.move(MuxPosition.HOST, 4)
    write(stick, WRITTEN)
    stick.clock.advance(1)

    assert stick.file.read(0, len(WRITTEN)) == WRITTEN[:after_bytes].ljust(len(WRITTEN), b"\0")


def test_removal_happens_also_if_the_mux_is_faster(stick: StickBench) -> None:
    stick.stick.faults.pull_out(after_bytes=PAGE)
    stick.move(MuxPosition.HOST, 4)
    write(stick, WRITTEN)
    stick.move(MuxPosition.DUT)

    assert (stick.dut, stick.file.read(PAGE, PAGE)) == (None, bytes(PAGE))


@pytest.mark.parametrize("position", [MuxPosition.HOST, MuxPosition.DUT])
def test_removed_stick_is_on_neither_host_nor_dut(stick: StickBench, position: MuxPosition) -> None:
    stick.move(position, 4)
    stick.stick.faults.pull_out(after_bytes=0)
    stick.stick.apply_faults()
    stick.clock.advance(1)

    assert (stick.node.present, stick.port.device, stick.dut) == (False, None, None)
    assert stick.stick.state()["removed"]


def test_reinserted_stick_is_where_the_mux_points(stick: StickBench) -> None:
    stick.stick.faults.pull_out(after_bytes=0)
    stick.move(MuxPosition.HOST, 4)
    out = stick.node.present
    stick.stick.faults.put_back()
    stick.stick.apply_faults()
    stick.clock.advance(4)

    assert (out, stick.node.present) == (False, True)


def test_over_usb_a_dropped_block_keeps_what_it_held(stick: StickBench) -> None:
    store = FaultyStore(stick.file, stick.stick.faults)
    stick.stick.faults.drop_every = 2
    store.write(0, WRITTEN[:1024])
    store.write(1024, WRITTEN[1024:2048])

    kept = stick.file.read(0, 2048)

    assert kept == WRITTEN[:512] + bytes(512) + WRITTEN[1024:1536] + bytes(512)


def test_over_usb_a_counterfeit_takes_everything_and_keeps_the_first_bytes(stick: StickBench) -> None:
    stick.stick.faults.real_bytes = 1024
    store = FaultyStore(stick.file, stick.stick.faults)
    store.write(512, WRITTEN[:1024])
    store.write(SIZE_BYTES - 512, WRITTEN[:512])

    assert stick.file.read(0, 2048) == bytes(512) + WRITTEN[:512] + bytes(1024)
    assert stick.file.read(SIZE_BYTES - 512, 512) == bytes(512)


def test_over_usb_a_stick_is_pulled_out_after_the_exact_block(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 4)
    stick.stick.faults.pull_out(after_bytes=1024)
    store = FaultyStore(stick.file, stick.stick.faults)
    with pytest.raises(OSError, match="Input/output error"):
        store.write(0, WRITTEN[:PAGE])
    stick.clock.advance(1)

    assert (stick.port.device, stick.node.present) == (None, False)
    assert stick.file.read(0, PAGE) == WRITTEN[:1024].ljust(PAGE, b"\0")


def test_over_usb_written_bytes_are_not_spoiled_twice(stick: StickBench) -> None:
    class StockClient:
        def detach(self) -> None: ...

    client = StockClient()
    stick.stick.faults.flip_every = 1000
    stick.move(MuxPosition.HOST, 4)
    stick.port.import_stock(client)
    FaultyStore(stick.file, stick.stick.faults).write(0, WRITTEN)
    once = stick.file.read(0, len(WRITTEN))
    stick.port.release(client)
    stick.move(MuxPosition.OFF, 1)

    assert stick.file.read(0, len(WRITTEN)) == once
