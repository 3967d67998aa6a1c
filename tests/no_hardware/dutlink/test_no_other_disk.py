"""The law: no byte ever reaches a disk that is not behind that board's mux, whatever hands plug in and out.

Each seed is a bench of two boards that flash, read and look, at any delay of the mux, while two strangers'
disks come and go, sticks are pulled out, put back and exchanged, and names are equal. The files judge.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from mux_bench import MIB, MuxBench

from hil import errors
from hil.sim.stick_usb import names_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK_SEEDS = range(24)
SEEDS, AT_ONCE = 1000, 25
LIMIT_S = 60.0
"""Virtual seconds in which hands move."""

_TAGS = (b"for board 0; ", b"for board 1; ")


def image(folder: Path, index: int) -> Path:
    path = folder / f"image-{index}.img"
    path.write_bytes((_TAGS[index] * (MIB // 8))[: MIB + MIB // 2])
    return path


class Hands:
    """What people do at the bench, at random times, in the order of those times."""

    def __init__(self, bench: MuxBench, rng: random.Random) -> None:
        self._bench = bench
        self._rng = rng
        for at in sorted(rng.uniform(0, LIMIT_S) for _ in range(rng.randint(2, 24))):
            act = rng.choice(
                [self._plug, self._plug, self._yank, self._replug, self._stick, self._delay, self._rename]
            )
            bench.after(at, act)

    def _plug(self) -> None:
        stranger = self._rng.choice(self._bench.strangers)
        with suppress(errors.SimulatorError):
            stranger.plug(
                self._rng.choice(["2-8", "2-9", "2-9.1"]), self._rng.choice(["AB00", "AB01", "ZZ99"])
            )

    def _yank(self) -> None:
        self._rng.choice(self._bench.strangers).unplug()

    def _replug(self) -> None:
        """Pull a disk out, and put it in again a moment later, where it was: a loose plug."""
        stranger = self._rng.choice(self._bench.strangers)
        socket, serial = stranger.socket or "2-8", stranger.serial or "AB00"
        stranger.unplug()

        def back() -> None:
            with suppress(errors.SimulatorError):
                stranger.plug(socket, serial)

        self._bench.after(self._rng.uniform(0.05, 8), back)

    def _stick(self) -> None:
        stick = self._rng.choice(self._bench.sticks)
        stick.faults.missing = not stick.faults.missing
        stick.refresh()

    def _delay(self) -> None:
        self._rng.choice(self._bench.sticks).late_s = self._rng.choice([0.0, 0.5, 3.5])

    def _rename(self) -> None:
        """Another stick is put into the board, or one that calls itself as the other board's does."""
        stick = self._rng.choice(self._bench.sticks)
        listing: Any = stick._node.listing
        listing._names = names_of(self._rng.choice(["AB00", "AB01", "CD77"]))


def act_of(bench: MuxBench, index: int, rng: random.Random, folder: Path) -> Callable[[], None]:
    """What one process after another does with a board."""

    def one(verb: str) -> None:
        storage = bench.storage(index)
        with suppress(errors.StorageError):
            if verb == "flash":
                storage.flash(image(folder, index), force=True)
            elif verb == "read":
                storage.read(folder / f"back-{index}-{rng.random()}")
            elif verb == "look":
                node = storage.wait_for_node()
                assert node.resolve() == bench.sticks[index]._node.path, f"{node} was called the stick"
            else:
                storage.learn()
        storage.off(force=True)
        storage.close()

    def act() -> None:
        bench.time.sleep(rng.uniform(0, 10))
        for verb in rng.choices(["flash", "flash", "read", "look", "learn"], k=rng.randint(1, 4)):
            one(verb)
            bench.time.sleep(rng.uniform(0, 5))

    return act


def judge(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secrets
    bench = MuxBench(folder, monkeypatch, size_bytes=2 * MIB, seed=seed)
    failures: list[BaseException] = []

    def kept(act: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - shown by the assertion
                failures.append(error)

        return run

    for stick in bench.sticks:
        stick.late_s = rng.choice([0.0, 0.0, 0.0, 3.5])
    for stranger in bench.strangers:
        if rng.random() < 0.3:
            stranger.plug(f"2-{10 + bench.strangers.index(stranger)}", "AB00")
    Hands(bench, rng)
    rngs = [random.Random(seed * 2 + index) for index in (0, 1)]  # noqa: S311 - as above
    bench.time.play(*(kept(act_of(bench, index, rng, folder)) for index, rng in enumerate(rngs)))
    sticks = [stick._file.path.read_bytes() for stick in bench.sticks]
    changed = bench.changed_bytes()
    bench.close()

    assert failures == [], f"seed {seed}"
    assert changed == 0, f"seed {seed}: {changed} bytes of strangers' disks were changed"
    assert [_TAGS[1] in sticks[0], _TAGS[0] in sticks[1]] == [False, False], (
        f"seed {seed}: another board's stick"
    )


@pytest.mark.parametrize("seed", QUICK_SEEDS)
def test_no_byte_reaches_another_disk(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(seed, tmp_path / "bench", monkeypatch)


@pytest.mark.thorough
@pytest.mark.seeds
@pytest.mark.timeout(900)  # half a minute of a core that has nothing else to do
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_no_byte_reaches_another_disk_in_a_thousand_benches(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(first, first + AT_ONCE):
        judge(seed, tmp_path / f"bench-{seed}", monkeypatch)
