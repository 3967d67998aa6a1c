"""Fixtures for tests of whole nights: a clone in which nights can run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the root conftest.py and nothing to disturb it."""
    for name in tuple(os.environ):
        if name.startswith(("HIL_", "PYTEST_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HIL_LAB", "none")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    (tmp_path / "locks").mkdir()
    (tmp_path / "conftest.py").write_text((REPOSITORY / "conftest.py").read_text("utf-8"), "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:asyncio -p no:cacheprovider\n", "utf-8")
    return tmp_path
