"""Copied into the folder of a cell that runs through nox: the patience of this project's own sessions."""

from __future__ import annotations

import sys

import nox

PATIENCE_S = 30.0


@nox.session(python=False)
def blocked(session: nox.Session) -> None:
    """Run the tests of this folder."""
    session.run(
        sys.executable,
        "-m",
        "pytest",
        *session.posargs,
        external=True,
        interrupt_timeout=PATIENCE_S,
        terminate_timeout=PATIENCE_S,
    )
