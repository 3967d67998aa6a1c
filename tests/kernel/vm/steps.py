"""Commands of the build, each with a time limit; what one said is shown when it fails."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from hil.errors import HilError
from tests.support import harness

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BuildError", "say", "step"]

_SHOWN_LINES = 30


class BuildError(HilError):
    """The virtual machine cannot be built or run here."""


def say(text: str) -> None:
    """Print what the session does now."""
    harness.say(f"kernel: {text}")


def step(title: str, *command: str | Path, limit_s: float, folder: Path | None = None) -> str:
    """Run one command of the build and return what it printed.

    Args:
        title: What it is for, in a few words.
        command: The program and its arguments.
        limit_s: When to give it up.
        folder: Where to run it.

    Raises:
        BuildError: It failed, took too long or is not there; the end of its output is part of the error.
    """
    words = [str(word) for word in command]
    began = time.monotonic()
    try:
        ran = subprocess.run(
            words,
            cwd=folder,
            timeout=limit_s,
            check=False,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired as error:
        said = error.output or b""
        text = said if isinstance(said, str) else said.decode(errors="replace")
        raise _failure(title, words, f"it took more than {limit_s:.0f} s", text) from error
    except OSError as error:
        raise _failure(title, words, error.strerror or str(error), "") from error
    if ran.returncode:
        raise _failure(title, words, f"it ended with status {ran.returncode}", ran.stdout)
    say(f"{title}: {time.monotonic() - began:.1f} s")
    return ran.stdout


def _failure(title: str, words: list[str], why: str, said: str) -> BuildError:
    end = "\n    ".join(said.splitlines()[-_SHOWN_LINES:])
    return BuildError(
        f"{title} failed",
        why=f"{words[0]}: {why}" + (f"; its last lines:\n    {end}" if end else ""),
        remedy=f"run it by hand: {' '.join(words)}",
    )
