"""Contain exceptions of hooks, which would end the whole run.

pytest makes an exception of a set-up, a body or a tear-down the outcome of its test. An exception of any
other hook is an INTERNALERROR: the run ends, and the remaining tests do not run. Code that uses a board may
raise any exception, so such hooks run it inside `contained`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["contained", "told"]

_ENDS_THE_RUN: Final = (KeyboardInterrupt, pytest.exit.Exception)
"""Exceptions that end the run; all others, also SystemExit, are the outcome of a test, as in pytest."""


class contained:  # noqa: N801 - used like `contextlib.suppress`
    """A `with` block whose exception is given to `keep` instead of being raised, unless it ends the run."""

    def __init__(self, keep: Callable[[BaseException], object]) -> None:
        self._keep = keep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or isinstance(error, _ENDS_THE_RUN):
            return False
        self._keep(error)
        return True


def told(error: BaseException) -> str:
    """Return an error on one line, with its class."""
    return " ".join(f"{type(error).__name__}: {error}".split())
