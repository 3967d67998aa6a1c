"""Places of the lab file that took no part in a run are only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.discovery import ProbeResult
from hil.errors import Verdict
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lease import holder_of
from hil.suite.outcome.exit_status import _trouble

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SERIAL = "5a1c0e01"


def test_look_at_an_unused_place_leaves_the_name_of_its_killed_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    killed = acquire(SERIAL)
    killed.lock.close()

    assert _trouble(SERIAL, lambda serial: ProbeResult(Verdict.PRESENT, serial), None) == ""
    assert holder_of(tmp_path, SERIAL) == killed.holder
