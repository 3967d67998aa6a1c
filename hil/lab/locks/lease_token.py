"""The word by which the processes of `hil lease` use its board, and the end of those that outlive the lease.

`hil lease` hands down a random word in the environment; the lock file, which every user may read, has its
SHA-256. A pid would prove nothing: it means another process in another PID namespace, and any process can
name one. A user who can read the environment of a process (its owner, and root) can use its lease, and could
as well debug it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["LEASED", "LENT", "end_borrowers", "hash_of", "lent_in", "new_word"]

LEASED = "HIL_LEASE"
"""The environment variable that carries the word."""

LENT = "lent"
"""Where a lock file has its hash."""

_END_S = 2.0
"""How long killed processes may take to end; one that hangs in the kernel takes longer."""

_LOOK_EVERY_S = 0.02


def new_word() -> str:
    """Return a word that no process has yet."""
    return os.urandom(16).hex()


def hash_of(word: str) -> str:
    """Return a word's hash, as lock files have it."""
    from hashlib import sha256  # noqa: PLC0415 - for `hil lease` alone

    return sha256(os.fsencode(word)).hexdigest()


def lent_in(content: bytes) -> str:
    """Return the hash in a lock file's content; empty if there is none."""
    try:
        facts = json.loads(content)
        return str(facts.get(LENT, "")) if isinstance(facts, dict) else ""
    except (ValueError, RecursionError):
        return ""


def end_borrowers(lent: str) -> None:
    """Kill the processes that have the word of this hash in their environment; none for an empty hash.

    For a lease whose holder is dead, and with it the process that ends what came of its COMMAND. Processes
    that this user may not look at, and those that threw their environment away, are not found.
    """
    deadline = time.monotonic() + _END_S
    while lent and (left := _borrowers(lent)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_EVERY_S)


def _borrowers(lent: str) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and int(entry.name) != os.getpid() and lent in _hashes_of(entry)
    ]


def _hashes_of(process: Path) -> list[str]:
    """Return the hashes of the words in a process's environment; a process that has ended has none."""
    name = f"{LEASED}=".encode()
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
    return [
        hash_of(os.fsdecode(variable.removeprefix(name)))
        for variable in variables
        if variable.startswith(name)
    ]
