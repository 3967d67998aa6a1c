"""Hashes of blocks, independent of the chunks in which an image comes."""

from __future__ import annotations

import hashlib
import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hil.flash.block_hashes import ZERO_BLOCK, BlockHash, BlockHasher, BlockHasherThread
from tests.support.disk_bench import MIB

SIZE = 3 * MIB + 700
CONTENT = random.Random(19).randbytes(SIZE)  # noqa: S311 - content, no secret

Ranges = list[tuple[int, int]]


@st.composite
def ranges(draw: st.DrawFn) -> Ranges:
    """Ranges that an image stores: begin and end, in rising order, some of them adjacent."""
    edges = sorted(draw(st.sets(st.integers(0, SIZE) | st.sampled_from([0, MIB, 2 * MIB, SIZE]), min_size=2)))
    pairs = itertools.pairwise(edges)
    return [pair for pair in pairs if draw(st.booleans())]


def counted(given_ranges: Ranges) -> list[BlockHash]:
    counter = BlockHasher()
    cells = [
        cell for begin, end in given_ranges for cell in counter.add(begin, memoryview(CONTENT)[begin:end])
    ]
    return [*cells, *counter.finish()]


def expected(given_ranges: Ranges) -> list[BlockHash]:
    """The expected hashes, from a disk of zeros with these ranges on it."""
    disk = bytearray(4 * MIB)
    touched: dict[int, list[int]] = {}
    for begin, end in given_ranges:
        disk[begin:end] = CONTENT[begin:end]
        for number in range(begin // MIB, (end - 1) // MIB + 1):
            touched.setdefault(number, []).extend((max(begin, number * MIB), min(end, (number + 1) * MIB)))
    return [
        BlockHash(number, min(at), max(at), hashlib.sha256(disk[number * MIB : (number + 1) * MIB]).digest())
        for number, at in touched.items()
    ]


@given(ranges())
@settings(max_examples=60)
def test_block_hasher_counts_missing_bytes_as_zeros(given_ranges: Ranges) -> None:
    assert counted(given_ranges) == expected(given_ranges)


def test_block_hasher_gives_no_block_for_no_bytes() -> None:
    assert counted([]) == []


def test_block_hasher_gives_zero_block_for_zeros() -> None:
    counter = BlockHasher()

    assert [cell.digest for cell in counter.add(MIB, memoryview(bytes(MIB)))] == [ZERO_BLOCK]


def test_block_hasher_thread_gives_the_same_hashes() -> None:
    pieces = [(begin, min(begin + 900_000, SIZE)) for begin in range(0, SIZE, 900_000)]
    with BlockHasherThread() as cells:
        waits = [cells.add(begin, memoryview(CONTENT)[begin:end]) for begin, end in pieces]
        digests = cells.result()

    assert all(one.done() for one in waits)
    assert digests == {cell.number: cell.digest for cell in counted([(0, SIZE)])}
