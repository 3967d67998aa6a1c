"""What is kept between runs: one folder for each thing built, named after everything that went into it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernel.vm.steps import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Cache", "cache_folder"]

_KEPT_S = 7 * 24 * 3600.0


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return `HIL_CACHE_DIR`, else `hil` in the user's cache folder; `kernel` in it is ours."""
    named = environ.get("HIL_CACHE_DIR")
    users = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(named) if named else users / "hil").absolute() / "kernel"


class Cache:
    """A folder of things that were built.

    Args:
        folder: Where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, kind: str, *inputs: str) -> Path:
        """Where the thing made of `inputs` is, or will be."""
        return self.folder / f"{kind}-{_digest(*(text.encode() for text in inputs))}"

    def get(self, path: Path, build: Callable[[Path], None]) -> Path:
        """Return the folder `path`, having `build` fill it if it is not there.

        It appears whole or not at all. Things of this kind that no session used for a week are removed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._turn():
            if path.is_dir():
                say(f"{path.name} is cached")
            else:
                unfinished = path.with_name(f".{path.name}")
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                build(unfinished)
                unfinished.rename(path)
            os.utime(path)
            self._prune(path.name.partition("-")[0])
        return path

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Only one session builds at a time; the lock ends with its process."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _prune(self, kind: str) -> None:
        for other in self.folder.glob(f"{kind}-*"):
            if time.time() - other.stat().st_mtime > _KEPT_S:
                shutil.rmtree(other, ignore_errors=True)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]
