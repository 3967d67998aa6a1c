"""Another user of the machine, for tests of what users can do to each other; only root can play one."""

from __future__ import annotations

import os
import pickle
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MALLORY", "VICTIM", "as_user", "folder_for_everybody", "only_root"]

MALLORY, VICTIM = 60_001, 60_002
T = TypeVar("T")

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")


@contextmanager
def folder_for_everybody() -> Iterator[Path]:
    """Provide a folder that every user reaches; pytest keeps its own to their owner."""
    with tempfile.TemporaryDirectory(prefix="hil-test-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        yield folder


def as_user(uid: int, act: Callable[[], T], gid: int | None = None) -> T:
    """Do something as that user, in a forked process, and return what came of it; an error is raised here."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(here)
        try:
            os.setgroups([])
            os.setresgid(*[gid or uid] * 3)
            os.setresuid(uid, uid, uid)
            outcome: object = (True, act())
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            outcome = (False, error)
        try:
            said = pickle.dumps(outcome)
        except Exception as error:  # noqa: BLE001 - what cannot be sent is told
            said = pickle.dumps((False, RuntimeError(f"{outcome!r}: {error}")))
        os.write(there, said)
        os._exit(0)
    os.close(there)
    with open(here, "rb") as answer:  # noqa: PTH123 - a descriptor
        said = answer.read()
    os.waitpid(child, 0)
    succeeded, value = pickle.loads(said)  # noqa: S301 - our own child's
    if not succeeded:
        raise value
    result: T = value
    return result
