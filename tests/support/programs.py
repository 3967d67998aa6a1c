"""Programs that tests start: `running` ends them with its block, whatever a test finds in it."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["running"]


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
