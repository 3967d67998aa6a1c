"""No byte is ever written to a disk that is not at that board's mux, whatever is plugged in and out.

Each seed is a bench of two boards that flash, read and look for their sticks, at any delay of the mux, while
two other disks come and go, sticks are pulled out, put back and exchanged, cables are swapped, boards are
moved, and names are equal. The sticks' files, and the simulator's knowledge of which stick is at which mux,
are the witnesses.
"""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hil import errors
from hil.dutlink.storage.storage import Storage
from tests.no_hardware.dutlink.storage.bench_hands import Hands
from tests.no_hardware.dutlink.storage.mux_bench import MIB, MuxBench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK_SEEDS, QUICK_AT_ONCE = 24, 8
SEEDS, AT_ONCE = 1000, 25
NEXT_LOOK_S = 0.2
"""A cable that a hand swaps while a disk is opened is seen by the next look."""

AT_THE_TURN_S = 1.0
"""One that it swaps so near to a turn of the mux brings a disk at the mux's pace, which may differ by 0.6 s,
and a stick's by 0.3 s. If this mux's own stick comes at another time, the flash may write before it finds
that; see `test_flash_finds_a_swap_of_cables_during_the_flash`."""

_TAGS = (b"for board 0; ", b"for board 1; ")
_BOOT_SECTOR = bytes(510) + b"\x55\xaa"


def image(folder: Path, index: int) -> Path:
    path = folder / f"image-{index}.img"
    path.write_bytes((_BOOT_SECTOR + bytes(512) + _TAGS[index] * (MIB // 8))[: MIB + MIB // 2])
    return path


class Judge:
    """Sees what the boards of one bench claim and write.

    Attributes:
        counts: How often each thing was done, for those who ask whether anything was.
        failures: What must not have happened.
    """

    def __init__(self, bench: MuxBench, hands: Hands, counts: Counter[str]) -> None:
        self.bench = bench
        self.hands = hands
        self.counts = counts
        self.failures: list[str] = []
        self._may_have = [{0}, {1}]
        self._turned_s = [0.0, 0.0]
        for index, link in enumerate(bench.links):
            link.on_turn.append(partial(self._turned, index))

    def _turned(self, index: int, _position: str) -> None:
        self._turned_s[index] = self.bench.clock.now()

    def claimed(self, index: int, node: Path, verb: str) -> None:
        """Take note that a board calls a disk its stick."""
        self.counts[f"{verb}: proven"] += 1
        link = self.bench.links[index]
        swapped_s = self.hands.swapped_s
        is_seen = self.bench.clock.now() - swapped_s > NEXT_LOOK_S
        is_told_by_pace = abs(self._turned_s[index] - swapped_s) > AT_THE_TURN_S
        if verb == "write" and not is_told_by_pace:
            self._may_write(index, node)
        is_behind_it = node.resolve() == link.stick._node.path and link.position.value == "host"
        if is_seen and is_told_by_pace and not is_behind_it:
            self.failures.append(f"{verb}: {node} was called the stick of board {index}")

    def _may_write(self, index: int, node: Path) -> None:
        """Allow a board to write to the stick that the other board's mux brought, after such a swap."""
        for stick, may_have in zip(self.bench.sticks, self._may_have, strict=True):
            if stick._node.path == node.resolve():
                may_have.add(index)

    def check_tags(self) -> None:
        """Check that each stick was written only by boards at whose mux it was at that time.

        Where a claim cannot tell by the pace, what that board wrote is allowed, too; see `AT_THE_TURN_S`.
        """
        for index, stick in enumerate(self.bench.sticks):
            boards = {board for board, tag in enumerate(_TAGS) if tag in stick._file.path.read_bytes()}
            at_mux = {board for board, link in enumerate(self.bench.links) if link.stick is stick}
            self._may_have[index] |= at_mux & boards
            if boards - self._may_have[index] - at_mux:
                self.failures.append(f"stick {index} has what {boards} wrote, but is at the mux of {at_mux}")


class JudgedStorage(Storage):
    """A board's storage whose claims are judged."""

    judge: Judge
    index: int

    def claim(self, **how: Any) -> Any:
        disk = super().claim(**how)
        self.judge.claimed(self.index, disk.node, "write" if how["to_write"] else "read")
        return disk


def storage_of(judge: Judge, index: int) -> Storage:
    storage = judge.bench.storage(index)
    storage.__class__ = JudgedStorage
    assert isinstance(storage, JudgedStorage)
    storage.judge, storage.index = judge, index
    return storage


def act_of(judge: Judge, index: int, rng: random.Random, folder: Path) -> Callable[[], None]:
    """What one process after another does with a board."""
    bench = judge.bench

    def one(verb: str) -> None:
        storage = storage_of(judge, index)
        judge.counts[verb] += 1
        try:
            if verb == "flash":
                storage.flash(image(folder, index), force=True)
            elif verb == "read":
                storage.read(folder / f"back-{index}-{rng.random()}")
            elif verb == "look":
                judge.claimed(index, storage.wait_for_node(), verb)
            else:
                storage.learn()
            judge.counts[f"{verb}: done"] += 1
        except errors.ImageError:
            raise
        except errors.StorageError as error:
            judge.counts[type(error).__name__] += 1
        storage.off(force=True)
        storage.close()

    def act() -> None:
        bench.time.sleep(rng.uniform(0, 10))
        for verb in rng.choices(["flash", "flash", "read", "look", "learn"], k=rng.randint(1, 4)):
            one(verb)
            bench.time.sleep(rng.uniform(0, 5))

    return act


def judged(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch, counts: Counter[str]) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secrets
    monkeypatch.setattr("hil.dutlink.storage.stick_mux.user_of", lambda *_: "")  # no program uses these disks
    bench = MuxBench(folder, monkeypatch, size_bytes=2 * MIB, seed=seed)
    for stick in bench.sticks:
        stick.late_s = rng.choice([0.0, 0.0, 0.0, 3.5])
    for index, stranger in enumerate(bench.strangers):
        if rng.random() < 0.3:
            stranger.plug(f"2-{10 + index}", "AB00")
    hands = Hands(bench, rng)
    judge = Judge(bench, hands, counts)
    hands.before_swap = judge.check_tags

    def kept(act: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - shown by the assertion
                judge.failures.append(repr(error))

        return run

    rngs = [random.Random(seed * 2 + index) for index in (0, 1)]  # noqa: S311 - no secrets
    bench.time.play(*(kept(act_of(judge, index, rng, folder)) for index, rng in enumerate(rngs)))
    judge.check_tags()
    changed = bench.changed_bytes()
    counts.update(f"hands: {act}" for act in set(hands.done))
    bench.close()

    assert judge.failures == [], f"seed {seed}"
    assert changed == 0, f"seed {seed}: {changed} bytes of strangers' disks were changed"


def judge_all(seeds: range, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Judge one bench for each seed, and see that they were benches at which something happens."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        judged(seed, folder / f"bench-{seed}", monkeypatch, counts)
    assert 4 * counts["flash: done"] >= counts["flash"], counts  # half of them, over all benches
    assert sum(counts[f"{verb}: done"] for verb in ("read", "look", "learn")) >= 3, counts
    return counts


@pytest.mark.parametrize("first", range(0, QUICK_SEEDS, QUICK_AT_ONCE))
def test_flash_writes_no_byte_to_another_disk(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge_all(range(first, first + QUICK_AT_ONCE), tmp_path, monkeypatch)


@pytest.mark.thorough
@pytest.mark.seeds
@pytest.mark.timeout(900)  # half a minute of a core that has nothing else to do
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_flash_writes_no_byte_to_another_disk_in_a_thousand_benches(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = judge_all(range(first, first + AT_ONCE), tmp_path, monkeypatch)

    for once in ("hands: _swap", "hands: _move", "StickMissingError"):
        assert counts[once], counts
