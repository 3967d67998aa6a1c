"""The identity of a run, which evidence and history share: its key, and what was tested where."""

from __future__ import annotations

import os
import socket
import subprocess
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RUN_KEY", "RunIdentity", "commit_of", "identity_of"]

RUN_KEY = "hil_run"
"""The name under which the controller sends the key to a worker."""

_GIT_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The identity of a run.

    Attributes:
        key: Unique among the runs of all hosts.
        host: Name of the machine.
        kind: `nightly`, or empty.
        commit: `HIL_COMMIT`, else the git commit of the tests; empty if unknown.
        image: `HIL_IMAGE`: the flashed image; empty if there is none.
    """

    key: str
    host: str
    kind: str
    commit: str
    image: str


_IDENTITY = pytest.StashKey[RunIdentity]()


def identity_of(config: pytest.Config) -> RunIdentity:
    """Return the identity of a run; it is made in the first call."""
    if _IDENTITY not in config.stash:
        given: str | None = getattr(config, "workerinput", {}).get(RUN_KEY)
        config.stash[_IDENTITY] = RunIdentity(
            key=given or config.getoption("hil_history_key", "") or uuid.uuid4().hex,
            host=socket.gethostname(),
            kind=config.getoption("hil_history_kind", ""),
            commit=os.environ.get("HIL_COMMIT") or ("" if given else commit_of(config.rootpath)),
            image=os.environ.get("HIL_IMAGE", ""),
        )
    return config.stash[_IDENTITY]


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
