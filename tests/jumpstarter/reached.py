"""A board that is reached on an exporter, as a run opens it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from exporters import PASSPHRASE

from hil.dutlink.board import Board, open_board
from hil.jumpstarter.client.provider import connect_board

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from certificates import Certificate

__all__ = ["address", "reached"]


def address(place: str, certificate: Certificate, folder: Path) -> str:
    """How a run asks for the direct exporter at HOST:PORT; its passphrase goes into a file in `folder`."""
    secret = folder / "passphrase"
    secret.write_text(PASSPHRASE + "\n", encoding="utf-8")
    return f"jumpstarter+direct://{place}?ca={certificate.certificate}&passphrase={secret}"


@contextmanager
def reached(asked: str, limit_s: float) -> Iterator[Board]:
    """Open the board, for a `with` block; what is told meanwhile is printed."""
    far = connect_board(asked, "", limit_s, print)
    try:
        with open_board(far.host, wiring=far.wiring) as board:
            yield board
    finally:
        far.close()
