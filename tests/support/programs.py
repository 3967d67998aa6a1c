"""Programs that tests start or write into other folders; `running` ends one with its block."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["program", "running"]


def program(beside: str, name: str) -> str:
    """Return the text of `programs/NAME.py` in the folder of a test module.

    Args:
        beside: The module's `__file__`.
        name: Without its suffix.
    """
    return Path(beside).with_name("programs").joinpath(f"{name}.py").read_text("utf-8")


@contextmanager
def running(command: Sequence[Any], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a program, and kill it at the end of the block.

    `Popen` alone would wait for its end, and a failed assertion would hang. A test of how the program ends
    waits for that in the block.
    """
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()
