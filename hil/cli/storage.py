"""`hil storage`: who sees the stick, by hand."""

from __future__ import annotations

from typing import Any

import click

from hil.cli.nouns import Nouns
from hil.cli.one_board import Asked, one_board

__all__ = ["storage"]


@click.group(cls=Nouns)
def storage() -> None:
    """Give the stick to the host, to the DUT, or to nobody.

    \b
    hil storage host
    hil storage dut --board 0df10035
    """  # noqa: D301 - click's own escape


@storage.command()
@one_board
def host(asked: Asked) -> dict[str, Any]:
    """Give the stick to this host, wait for it, and print its device node."""
    from hil.cli.using_board import using  # noqa: PLC0415 - the driver is for commands that use boards

    with using(asked, "hil storage host") as board:
        board.storage.host()
        return {"board": board.serial, "storage": "host", "node": str(board.storage.wait_for_node())}


@storage.command()
@one_board
def dut(asked: Asked) -> dict[str, Any]:
    """Give the stick to the DUT."""
    from hil.cli.using_board import using  # noqa: PLC0415 - as above

    with using(asked, "hil storage dut") as board:
        board.storage.dut()
        return {"board": board.serial, "storage": "dut"}


@storage.command()
@one_board
def off(asked: Asked) -> dict[str, Any]:
    """Give the stick to nobody."""
    from hil.cli.using_board import using  # noqa: PLC0415 - as above

    with using(asked, "hil storage off") as board:
        board.storage.off()
        return {"board": board.serial, "storage": "off"}
