"""The mux bench of the tests of storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.no_hardware.dutlink.storage.mux_bench import MuxBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MuxBench]:
    bench = MuxBench(tmp_path / "bench", monkeypatch)
    yield bench
    bench.close()
