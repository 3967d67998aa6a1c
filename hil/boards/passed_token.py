"""What this process's environment tells its programs: the token of a lease, and where boards are."""

from __future__ import annotations

import os
import threading
from typing import Final

from hil.dutlink.inherited_lease import LEASED

__all__ = ["inherited_token", "pass_token", "remove_token", "withdraw_token"]

_own_tokens: list[str] = []
_inherited = ""
"""The token with which this process was started, while one of its own has its place; empty: none."""

_BOARDS: Final = "HIL_BOARDS"
_boards_before: list[str | None] = []
"""The value of `HIL_BOARDS` before the first lease of a run; empty before that."""


def inherited_token() -> str:
    """Return the token of the lease under which this process was started; empty if there is none."""
    token = os.environ.get(LEASED, "")
    return _inherited if token in _own_tokens else token


def pass_token(token: str, boards: str = "") -> None:
    """Put the token of this process's lease into its environment, in place of any other.

    The token stays there after the lease has ended, unless it is withdrawn, so that hil refuses programs that
    start later: a thread that a test left running may start them.

    Args:
        token: The token.
        boards: A value of `HIL_BOARDS` by which these programs find the board; empty: leave the variable.
    """
    global _inherited  # noqa: PLW0603 - the environment is one, too
    _inherited = inherited_token()
    _own_tokens.append(token)
    os.environ[LEASED] = token
    if boards:
        if not _boards_before:
            _boards_before.append(os.environ.get(_BOARDS))
        os.environ[_BOARDS] = boards


def withdraw_token(token: str) -> None:
    """Remove the token of a lease that has ended; an earlier one, or the inherited one, takes its place."""
    if token in _own_tokens:
        passed = os.environ.get(LEASED) in _own_tokens
        _own_tokens.remove(token)
        if passed:
            _set(_own_tokens[-1] if _own_tokens else _inherited)


def remove_token(before: frozenset[threading.Thread]) -> None:
    """Restore the environment for a program that goes on after its run.

    Does nothing if a thread that the run started still runs: programs that it starts must be refused.

    Args:
        before: The threads that ran before the run.
    """
    if before.issuperset(threading.enumerate()) and os.environ.get(LEASED) in _own_tokens:
        _own_tokens.clear()
        _set(_inherited)
        while _boards_before:
            _set(_boards_before.pop() or "", _BOARDS)


def _set(value: str, name: str = LEASED) -> None:
    if value:
        os.environ[name] = value
    else:
        os.environ.pop(name, None)
