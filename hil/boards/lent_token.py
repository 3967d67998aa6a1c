"""Lend this process's boards to its programs, by its environment: a lease's token, and where boards are."""

from __future__ import annotations

import os
import threading
from typing import Final

from hil.dutlink.borrowed_lease import LEASED

__all__ = ["borrowed_token", "lend_token", "remove_token", "withdraw_token"]

_own_tokens: list[str] = []
_borrowed = ""
"""The token with which this process was started, while one of its own has its place; empty: none."""

_BOARDS: Final = "HIL_BOARDS"
_boards_before: str | None = None
"""The value of `HIL_BOARDS` before the first lease of a run; empty: it was unset; None: no lease yet."""


def borrowed_token() -> str:
    """Return the token of the lease under which this process was started; empty if there is none."""
    token = os.environ.get(LEASED, "")
    return _borrowed if token in _own_tokens else token


def lend_token(token: str, boards: str = "") -> None:
    """Put the token of this process's lease into its environment, in place of any other.

    The token stays there after the lease has ended, unless it is withdrawn, so that hil refuses programs that
    start later: a thread that a test left running may start them.

    Args:
        token: The token.
        boards: A value of `HIL_BOARDS` by which these programs find the board; empty: leave the variable.
    """
    global _borrowed, _boards_before  # noqa: PLW0603 - the environment is one, too
    _borrowed = borrowed_token()
    _own_tokens.append(token)
    os.environ[LEASED] = token
    if boards:
        if _boards_before is None:
            _boards_before = os.environ.get(_BOARDS, "")
        os.environ[_BOARDS] = boards


def withdraw_token(token: str) -> None:
    """Remove the token of a lease that has ended; an earlier one, or the borrowed one, takes its place."""
    if token in _own_tokens:
        passed = os.environ.get(LEASED) in _own_tokens
        _own_tokens.remove(token)
        if passed:
            _set(_own_tokens[-1] if _own_tokens else _borrowed)


def remove_token(before: frozenset[threading.Thread]) -> None:
    """Restore the environment for a program that goes on after its run.

    Does nothing if a thread that the run started still runs: programs that it starts must be refused.

    Args:
        before: The threads that ran before the run.
    """
    global _boards_before  # noqa: PLW0603 - the environment is one, too
    if before.issuperset(threading.enumerate()) and os.environ.get(LEASED) in _own_tokens:
        _own_tokens.clear()
        _set(_borrowed)
        if _boards_before is not None:
            _set(_boards_before, _BOARDS)
            _boards_before = None


def _set(value: str, name: str = LEASED) -> None:
    if value:
        os.environ[name] = value
    else:
        os.environ.pop(name, None)
