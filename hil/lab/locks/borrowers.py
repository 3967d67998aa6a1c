"""Kill the processes that outlive a `hil lease`: they have its token in their environment.

The processes of a test run have a token, too, but they are not killed; see `hil.dutlink.inherited_lease`.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from hil.dutlink.inherited_lease import LEASED, token_hash, token_hash_in

__all__ = ["ENDS", "end_borrowers"]

ENDS = "ends_borrowers"
"""The key of a lock file which says that the processes with its token end with the lease."""

_END_S = 2.0
"""How long killed processes may take to end; a process that hangs in the kernel takes longer."""

_LOOK_EVERY_S = 0.02


def end_borrowers(content: bytes) -> None:
    """Kill the processes that have the token of a lock file, if they were to end with its lease.

    Call this only when the lease's holder is dead: the process that would have ended the descendants of
    COMMAND has died with it. Processes that this user may not inspect, and processes that cleared their
    environment, are not found.

    Args:
        content: The content of the lock file.
    """
    lent = token_hash_in(content)
    if not lent or not json.loads(content).get(ENDS):
        return
    from signal import SIGKILL  # noqa: PLC0415 - only after a `hil lease` was killed

    deadline = time.monotonic() + _END_S
    while (left := _borrowers(lent)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, SIGKILL)
        time.sleep(_LOOK_EVERY_S)


def _borrowers(lent: str) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and int(entry.name) != os.getpid() and lent in _hashes_of(entry)
    ]


def _hashes_of(process: Path) -> list[str]:
    """Return the hashes of the tokens in a process's environment; an empty list if it has ended."""
    name = f"{LEASED}=".encode()
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
    return [
        token_hash(os.fsdecode(variable.removeprefix(name)))
        for variable in variables
        if variable.startswith(name)
    ]
