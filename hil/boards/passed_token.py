"""The token of a run's lease, in the environment of the programs that its tests start."""

from __future__ import annotations

import os
import threading

from hil.dutlink.inherited_lease import LEASED

__all__ = ["pass_token", "remove_token"]

_own_tokens: set[str] = set()


def pass_token(token: str) -> None:
    """Put the token of this process's lease into its environment, in place of an earlier one.

    The token stays there after the lease has ended, so that hil refuses programs that start later: a thread
    that a test left running may start them. A token of another process, which this one inherited, is kept.
    """
    if os.environ.get(LEASED, "") in {"", *_own_tokens}:
        _own_tokens.add(token)
        os.environ[LEASED] = token


def remove_token(before: frozenset[threading.Thread]) -> None:
    """Remove this process's token from its environment, for a program that goes on after its run.

    Does nothing if a thread that the run started still runs: programs that it starts must be refused.

    Args:
        before: The threads that ran before the run.
    """
    if before.issuperset(threading.enumerate()) and os.environ.get(LEASED) in _own_tokens:
        del os.environ[LEASED]
