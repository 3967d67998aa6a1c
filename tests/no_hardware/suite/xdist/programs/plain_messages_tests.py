"""Tests in a folder whose name is not UTF-8: what they tell has that name, or is no plain data."""

import os
import warnings
from enum import StrEnum
from pathlib import Path

import pytest

ODD = os.fsdecode(b"caf\xe9")


class Colour(StrEnum):
    RED = "red"


def test_board(power, image, record_property):
    power.on()
    record_property("image", image.path)
    record_property("colour", Colour.RED)
    record_property("number", -(10**12))


def test_fails(storage):
    raise FileNotFoundError(2, "it is gone", f"{storage.position} {ODD}")


def test_skips():
    pytest.skip(f"no {ODD}")


def test_warns():
    warnings.warn(f"in {Path(ODD)}", stacklevel=1)
