"""Flash a stick so that a half-written one never boots, and one that may boot unverified is on record.

1. The stick is attached. Data that equals the image stays; before anything else is written, the boot region
   is wiped. Everything after the boot region is written and flushed, then the boot region is written.
2. The stick is detached and attached again. Everything is read back and nothing is written, but if anything
   is wrong, the boot region is wiped.

Each time, the stick is verified to be the board's stick. A stick that already holds the whole image is only
read, once.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hil.flash.fingerprint import body_fingerprint, fingerprint
from hil.flash.results import Flashed
from hil.flash.verify import verify
from hil.flash.write_pass import write_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.flash.boot_region import BootRegion
    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.write_pass import WriteResult

__all__ = ["flash_image"]


def flash_image(  # noqa: PLR0913 - what to write, and how
    reattach: Callable[[], Disk],
    image: Image,
    progress: Progress,
    *,
    force: bool,
    earlier: Flashed | None = None,
    mark_unverified: Callable[[str], None] = lambda _label: None,
) -> Flashed:
    """Write an image to a stick and verify it.

    Args:
        reattach: Detaches the stick, attaches it again, and opens it once it is verified to be the stick.
        image: The image.
        progress: Receives the progress.
        force: Write everything, even if the stick holds it already.
        earlier: The result of an earlier flash of this image to this stick, if the stick has been off
            since; then a matching fingerprint is enough.
        mark_unverified: Records the label of an unverified image that may boot; an empty label clears it.

    Raises:
        ImageError: The image is damaged, or larger than the stick.
        FlashError: The stick does not hold what was written, or failed.
        StickLostError: The stick left the host.
    """
    with reattach() as disk:
        unchanged = None if force or earlier is None else _unchanged(disk, earlier)
        if unchanged is not None:
            return unchanged
        result = write_body(disk, image, progress, force=force)
        if result.boot_region_differs and not result.body_changed:
            result.boot_region.wipe(disk)  # nothing has been written yet, so the old boot region may boot
        mark_unverified("")  # the whole image was read from the stick, or the boot region is wiped
        if not result.boot_region_differs:
            return _flashed(disk, image, result)
        body = body_fingerprint(disk, result.image_bytes)
        mark_unverified(image.label)
        with _clear_mark_unless_unverified(result.boot_region, mark_unverified):
            result.boot_region.write(disk)
    with reattach() as disk:
        began = time.monotonic()
        with _clear_mark_unless_unverified(result.boot_region, mark_unverified):
            verify(disk, image, result, progress, body)
        return _flashed(disk, image, result, time.monotonic() - began)


@contextmanager
def _clear_mark_unless_unverified(
    boot_region: BootRegion, mark_unverified: Callable[[str], None]
) -> Iterator[None]:
    """Clear the record after the block, however it ends, if the boot region is verified or wiped."""
    try:
        yield
    finally:
        if not boot_region.is_unverified:
            mark_unverified("")


def _flashed(disk: Disk, image: Image, result: WriteResult, verify_s: float = 0.0) -> Flashed:
    return Flashed(
        label=image.label,
        size_bytes=result.image_bytes,
        mapped_bytes=result.mapped_bytes,
        written_bytes=result.written_bytes + (result.boot_region_bytes if result.boot_region_differs else 0),
        node=disk.node,
        compare_s=result.compare_s,
        write_s=result.write_s,
        verify_s=verify_s,
        digest=result.digest,
        fingerprint=fingerprint(disk, result.image_bytes),
    )


def _unchanged(disk: Disk, earlier: Flashed) -> Flashed | None:
    """Return the earlier result if the stick's fingerprint still matches it, else None."""
    began = time.monotonic()
    if fingerprint(disk, earlier.size_bytes) != earlier.fingerprint:
        return None
    compare_s = time.monotonic() - began
    return replace(earlier, written_bytes=0, compare_s=compare_s, write_s=0.0, verify_s=0.0)
