"""The conftest.py of the folder that `bench_two_boards.py` runs: it notes when each test ran."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

pytest_plugins = ["hil.plugin"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    began = time.monotonic()
    result = yield
    with Path(__file__).with_name("times").open("a", encoding="utf-8") as times:
        times.write(f"{began} {time.monotonic()}\n")
    return result
