"""The record of a run that begins, which evidence and history share: its key, and what is tested where."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from hil.evidence.records import RunRecord

__all__ = ["RUN_KEY", "commit_of", "run_record_of"]

RUN_KEY = "hil_run"
"""The name under which the controller sends the key to a worker."""

_GIT_LIMIT_S = 5.0


_RECORD = pytest.StashKey["RunRecord"]()


def run_record_of(config: pytest.Config) -> RunRecord:
    """Return the record of a run that begins; it is made in the first call."""
    from hil.evidence.records import RunRecord  # noqa: PLC0415 - only runs that are recorded pay

    if _RECORD not in config.stash:
        given: str | None = getattr(config, "workerinput", {}).get(RUN_KEY)
        config.stash[_RECORD] = RunRecord(
            key=given or config.getoption("hil_history_key", "") or uuid.uuid4().hex,
            began_s=time.time(),
            host=socket.gethostname(),
            kind=config.getoption("hil_history_kind", ""),
            commit=os.environ.get("HIL_COMMIT") or ("" if given else commit_of(config.rootpath)),
            image=os.environ.get("HIL_IMAGE", ""),
        )
    return config.stash[_RECORD]


def commit_of(folder: Path) -> str:
    """Return the commit that is checked out; empty without git."""
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=folder,
            capture_output=True,
            timeout=_GIT_LIMIT_S,
            check=True,
            text=True,
        )
        return said.stdout.strip()
    return ""
