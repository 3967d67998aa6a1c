"""`hil flash`: write an image to the stick and verify it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.param_types import format_size
from hil.cli.progress import show_progress
from hil.cli.result import Answer
from hil.cli.taken_stick import detach_stick_on_signal, stick_lost_sentence
from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.flash.formats.image import Image
    from hil.flash.results import Flashed

__all__ = ["flash"]


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--bmap",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The image's block map.  [default: the one beside the image, if any]",
)
@click.option("--no-bmap", is_flag=True, help="Write the whole image, without a block map.")
@click.option(
    "--force",
    is_flag=True,
    help="Write even if the stick holds the image, or if IMAGE is not recognized as a disk image. "
    "A stick that is mounted or open on this host is still refused.",
)
@click.option(
    "--file-system", is_flag=True, help="IMAGE is a file system without a partition table, on purpose."
)
@click.option(
    "--then",
    type=click.Choice(["dut", "host", "off"]),
    default="dut",
    show_default=True,
    help="Position of the stick afterwards.",
)
@board_command
def flash(  # noqa: PLR0913 - its options
    *,
    selection: BoardSelection,
    image: Path,
    bmap: Path | None,
    no_bmap: bool,
    force: bool,
    file_system: bool,
    then: str,
) -> Answer:
    """Write IMAGE to the stick, read it back, and connect the stick to the DUT.

    IMAGE is a raw or Android sparse image, plain or compressed with gzip, bzip2, xz, zstd or LZ4. A stick
    that holds IMAGE already is not written. After an error the stick is detached. Web pages, texts and files
    of other programs are never written.

    \b
    hil flash image.img.xz
    hil flash image.wic --bmap image.wic.bmap --then off
    """  # noqa: D301 - click's own escape
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use
    from hil.flash.formats.open import open_disk_image  # noqa: PLC0415 - the driver is imported on use

    wanted_map = _map(bmap, no_bmap)
    with show_progress() as progress:
        opened = open_disk_image(image, wanted_map, force=force, file_system=file_system, progress=progress)
    interrupted = f"interrupted: {image.name} may not be on the stick"
    with use_board(selection, f"hil flash {image.name}") as board:
        was_on = board.power.draws()
        with detach_stick_on_signal(board, interrupted), show_progress() as progress:
            flashed = board.storage.flash(opened, progress=progress, force=force)
        data = {"board": board.serial, **_result_data(flashed), **_image_data(opened), "dut_was_on": was_on}
        kept = f"interrupted: {image.name} is on the stick and verified; the stick was not connected"
        with detach_stick_on_signal(board, kept):
            data |= _move_stick(board, then)
        return Answer(data, text=_sentence(board, flashed, opened, data))


def _map(bmap: Path | None, no_bmap: bool) -> Path | bool:
    if bmap is not None and no_bmap:
        raise UsageError(
            "--bmap and --no-bmap exclude each other",
            why=f"one names {bmap}, the other uses no block map",
            remedy="leave one of them out",
        )
    return bmap or not no_bmap


def _result_data(flashed: Flashed) -> dict[str, Any]:
    return {
        "image": flashed.label,
        "result": "written and verified" if flashed.was_written else "on the stick already",
        "digest": flashed.digest,
        "size_bytes": flashed.size_bytes,
        "mapped_bytes": flashed.mapped_bytes,
        "written_bytes": flashed.written_bytes,
        "compare_s": round(flashed.compare_s, 3),
        "write_s": round(flashed.write_s, 3),
        "verify_s": round(flashed.verify_s, 3),
    }


def _sentence(board: Board, flashed: Flashed, image: Image, data: dict[str, Any]) -> str:
    """Return the text for users: the result, the position of the stick, and the next step."""
    size, written = format_size(flashed.size_bytes), format_size(flashed.written_bytes)
    amount = size if size == written else f"{written} of {size}"
    where = {"dut": "at the DUT", "host": f"at this host: {data.get('node')}", "off": "detached"}
    done = (
        f"Wrote {flashed.label} ({amount}) to the stick of {board.label} and verified it"
        if flashed.was_written
        else f"The stick of {board.label} holds {flashed.label} already, and nothing was written"
    )
    lines = [f"{done}; the stick is {where[data['storage']]}.", *image.remarks]
    if data["dut_was_on"]:
        done = "written" if flashed.was_written else "compared"
        lines.append(stick_lost_sentence(done, is_back=data["storage"] == "dut"))
    return "\n".join(lines)


def _image_data(image: Image) -> dict[str, Any]:
    """Return the used block map and the remarks on the image."""
    map_label = getattr(image, "map_label", "")
    data: dict[str, Any] = {"bmap": map_label} if map_label else {}
    return data | ({"notes": list(image.remarks)} if image.remarks else {})


def _move_stick(board: Board, then: str) -> dict[str, str]:
    """Move the stick to its final position; `flash` has left it detached."""
    if then == "dut":
        board.storage.dut()
    if then == "host":
        board.storage.host()
        return {"storage": then, "node": str(board.storage.wait_for_node())}
    return {"storage": then}
