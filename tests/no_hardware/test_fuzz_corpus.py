"""Every input that the fuzzer keeps, played: what it found once stays mended, on any machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

FUZZ = Path(__file__).parents[1] / "fuzz"
INPUTS = sorted((FUZZ / "corpus").glob("*/*"))


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_has_a_corpus(name: str) -> None:
    assert any(path.parent.name == name for path in INPUTS)


@pytest.mark.parametrize("name", TARGETS)
def test_target_takes_its_corpus(name: str) -> None:
    for path in INPUTS:
        if path.parent.name == name:
            TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_target_takes_nothing_and_noise(name: str) -> None:
    for data in (b"", b"\0", b"\xff" * 300, bytes(range(256)) * 4):
        TARGETS[name](data)
