"""Flashes a stick: no half-written one boots, and what boots unproven is on record until it is proven.

1. The stick appears. What it holds of the image stays; before anything else is written its head is wiped.
   The head is written last, after everything else was flushed.
2. It goes away and appears again. Everything is read back, and nothing written; if anything is wrong the
   head is wiped.

Each time it is proven again to be the stick. One that holds the whole image already is only read, once.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hil.flash.fingerprint import fingerprint, fingerprint_of_the_rest
from hil.flash.results import Flashed
from hil.flash.verify import verify
from hil.flash.write_pass import lay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.flash.boot_region import Head
    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.write_pass import Laid

__all__ = ["flash_image"]


def flash_image(  # noqa: PLR0913 - what to write, and how
    claim: Callable[[], Disk],
    image: Image,
    progress: Progress,
    *,
    force: bool,
    untouched: Flashed | None = None,
    doubt: Callable[[str], None] = lambda _label: None,
) -> Flashed:
    """Write an image to a stick and prove it.

    Args:
        claim: Takes the stick away and makes it appear again, and opens it when it is proven to be the stick.
        image: What to write.
        progress: Is told how far it is.
        force: Write it, whatever the stick holds.
        untouched: The result of an earlier flash of this image to this stick, if the stick has been off
            since; a matching fingerprint then suffices.
        doubt: Records the label of an unproven image that may boot; empty clears it.

    Raises:
        ImageError: The image is damaged, or larger than the stick.
        FlashError: The stick does not hold what was written, or failed.
        StickLostError: It left.
    """
    with claim() as disk:
        known = None if force or untouched is None else _known_again(disk, untouched)
        if known is not None:
            return known
        laid = lay(disk, image, progress, force=force)
        if laid.head_differs and not laid.body_changed:  # nothing has been written yet: the old head may boot
            laid.head.wipe(disk)
        doubt("")  # all of the image was read from the stick, or the head is wiped
        if not laid.head_differs:
            return _flashed(disk, image, laid)
        rest = fingerprint_of_the_rest(disk, laid.image_bytes)
        doubt(image.label)
        with _cleared_once_certain(laid.head, doubt):
            laid.head.write(disk)
    with claim() as disk:
        began = time.monotonic()
        with _cleared_once_certain(laid.head, doubt):
            verify(disk, image, laid, progress, rest)
        return _flashed(disk, image, laid, time.monotonic() - began)


@contextmanager
def _cleared_once_certain(head: Head, doubt: Callable[[str], None]) -> Iterator[None]:
    """Clear the record of a doubt after the block, however it ends, if the head is proven or wiped."""
    try:
        yield
    finally:
        if not head.is_unproven:
            doubt("")


def _flashed(disk: Disk, image: Image, laid: Laid, verify_s: float = 0.0) -> Flashed:
    return Flashed(
        label=image.label,
        size_bytes=laid.image_bytes,
        mapped_bytes=laid.mapped_bytes,
        written_bytes=laid.written_bytes + (laid.head_bytes if laid.head_differs else 0),
        node=disk.node,
        compare_s=laid.compare_s,
        write_s=laid.write_s,
        verify_s=verify_s,
        digest=laid.digest,
        fingerprint=fingerprint(disk, laid.image_bytes),
    )


def _known_again(disk: Disk, untouched: Flashed) -> Flashed | None:
    """Return the earlier proof of a stick that was off since; None if it is not the same after all."""
    began = time.monotonic()
    if fingerprint(disk, untouched.size_bytes) != untouched.fingerprint:
        return None
    compare_s = time.monotonic() - began
    return replace(untouched, written_bytes=0, compare_s=compare_s, write_s=0.0, verify_s=0.0)
