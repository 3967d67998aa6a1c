"""Random images in every format with every fault: all damage is detected, and no bad stick boots.

A case follows from its number alone: `FlashCase.of(123)`.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

import hil.dutlink.storage.stick_finder
import hil.dutlink.storage.stick_mux
import hil.dutlink.storage.stick_path
import hil.dutlink.storage.stick_proof
import hil.dutlink.storage.storage
import hil.flash.disk.disk
from hil.dutlink.timing import until
from tests.no_hardware.flash.bad_os import BadOs
from tests.no_hardware.flash.flash_case import FORMATS, Fault, FlashCase
from tests.no_hardware.flash.flash_station import FlashStation
from tests.support.harness import play_all

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STATIONS, MORE_STATIONS = 3, 6  # they mostly wait
CASES = 1200  # so many that hardly a format lacks a fault


class Matrix:
    """Stations that share the cases, and what came of them."""

    def __init__(self, stations: list[FlashStation]) -> None:
        self._stations = stations
        self.outcomes: Counter[tuple[Fault, str]] = Counter()
        self.complaints: list[str] = []

    def play(self, numbers: Iterable[int]) -> None:
        """Play all cases, each at the next free station."""
        play_all(self._play, self._stations, numbers)

    @property
    def digests(self) -> int:
        """How many sticks the DUT compared."""
        return sum(station.digests for station in self._stations)

    def count(self, outcome: str, *faults: Fault) -> int:
        """How many cases came to `outcome`, of these faults or of all."""
        return sum(
            n for (fault, came), n in self.outcomes.items() if came == outcome and fault in (faults or Fault)
        )

    def _play(self, station: FlashStation, number: int) -> None:
        case = FlashCase.of(number)
        try:
            self.outcomes[case.fault, station.play(case)] += 1
        except AssertionError as complaint:
            self.complaints.append(str(complaint))
        except Exception as error:  # noqa: BLE001 - the others go on; a complaint fails the test
            self.complaints.append(f"{case}: {error!r}")


@pytest.fixture
def stations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterable[list[FlashStation]]:
    count = MORE_STATIONS if request.node.get_closest_marker("thorough") else STATIONS
    bad_os = BadOs()
    monkeypatch.setattr(hil.flash.disk.disk, "os", bad_os)
    monkeypatch.setattr(hil.flash.disk.disk, "_LEAVES_WITHIN_S", 0.05)  # these simulated hosts are fast
    monkeypatch.setattr(hil.dutlink.storage.storage, "APPEARS_WITHIN_S", 3.0)
    monkeypatch.setattr(hil.dutlink.storage.stick_mux, "APPEARS_WITHIN_S", 3.0)
    monkeypatch.setattr(hil.dutlink.storage.stick_finder, "until", partial(until, every_s=0.005))
    monkeypatch.setattr(hil.dutlink.storage.stick_path, "until", partial(until, every_s=0.005))
    monkeypatch.setattr(hil.dutlink.storage.stick_proof, "until", partial(until, every_s=0.005))
    monkeypatch.setattr(hil.dutlink.storage.stick_proof, "_SETTLE_S", 0.02)
    with ExitStack() as stack:
        yield [stack.enter_context(FlashStation(bad_os, tmp_path / str(n))) for n in range(count)]


def played(stations: list[FlashStation], numbers: Iterable[int]) -> Matrix:
    matrix = Matrix(stations)
    matrix.play(numbers)
    for (fault, outcome), count in sorted(matrix.outcomes.items(), key=str):
        print(f"{fault.name.lower():<16} {outcome:<8} {count}")  # noqa: T201 - with -rP
    assert not matrix.complaints, "\n".join(matrix.complaints)
    return matrix


def test_flash_image_detects_all_damage_in_a_sample_of_cases(stations: list[FlashStation]) -> None:
    matrix = played(stations, range(20))

    assert matrix.count("flashed") >= 2
    assert matrix.count("refused") >= 10
    assert matrix.digests


@pytest.mark.thorough
@pytest.mark.timeout(600)  # a minute of two cores that have nothing else to do
def test_flash_image_detects_all_damage_in_a_thousand_cases(stations: list[FlashStation]) -> None:
    matrix = played(stations, range(CASES))

    assert matrix.count("flashed") + matrix.count("refused") == CASES
    assert matrix.count("flashed", Fault.NONE, Fault.SHORT_TRANSFERS) >= 100
    lying = (Fault.FLIPPED, Fault.DROPPED, Fault.COUNTERFEIT)
    assert matrix.count("refused", *lying) > 5 * matrix.count("flashed", *lying)
    assert matrix.digests >= 40


def test_flash_cases_cover_every_format_and_fault() -> None:
    seen = {(case.form, case.fault) for case in map(FlashCase.of, range(CASES))}

    nowhere = {("raw", Fault.TRUNCATED), ("raw", Fault.CORRUPTED)}
    assert len({(form, fault) for form in FORMATS for fault in Fault} - nowhere - seen) < 10
