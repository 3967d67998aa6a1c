"""Open the board of a direct exporter as a run does."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.dutlink.board import Board, open_driver
from hil.jumpstarter.client.provider import connect_board
from tests.jumpstarter.exporters import PASSPHRASE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.jumpstarter.certificates import Certificate

__all__ = ["address", "open_remote_board"]


def address(place: str, certificate: Certificate, folder: Path) -> str:
    """Return the `--hil-boards` of the direct exporter at HOST:PORT; its passphrase goes into `folder`."""
    secret = folder / "passphrase"
    secret.write_text(PASSPHRASE + "\n", encoding="utf-8")
    return f"jumpstarter+direct://{place}?ca={certificate.certificate}&passphrase={secret}"


@contextmanager
def open_remote_board(asked: str, limit_s: float) -> Iterator[Board]:
    """Open the board for a `with` block; print messages for the user."""
    far = connect_board(asked, "", limit_s, print)
    try:
        with open_driver(far.host, wiring=far.wiring) as board:
            yield board
    finally:
        far.close()
