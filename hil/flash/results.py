"""The results of flashing a stick and of reading one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Flashed", "ReadBack"]

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Flashed:
    """An image that is verified to be on the stick.

    Attributes:
        label: File name of the image.
        size_bytes: Size of the image, holes included.
        mapped_bytes: Bytes that the image stores and that matter. They, and zeros in place of its holes, were
            read back from the stick, now or by the earlier flash that `fingerprint` refers to.
        written_bytes: Bytes that were written; 0 if the stick held the image already.
        node: The stick's device node while it was on the host.
        compare_s: Seconds until the first difference between stick and image.
        write_s: Seconds from then until everything was flushed to the stick.
        verify_s: Seconds for reading back what was written.
        digest: Names the image by its content, the same for an archive of it; see
            `hil.flash.block_hashes.image_digest`.
        fingerprint: Shows later that the stick is unchanged; see `hil.flash.fingerprint`.
    """

    label: str
    size_bytes: int
    mapped_bytes: int
    written_bytes: int
    node: Path
    compare_s: float
    write_s: float
    verify_s: float
    digest: str = ""
    fingerprint: str = field(default="", repr=False)

    @property
    def image(self) -> str:
        """The image in words: name, size, and the first digits of its digest."""
        facts = filter(None, (f"{self.size_bytes} bytes", self.digest[:_DIGITS]))
        return f"{self.label} ({', '.join(facts)})"

    @property
    def was_written(self) -> bool:
        """Whether anything was written; False if the stick held the image already."""
        return self.written_bytes > 0


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A stick's bytes in a file.

    Attributes:
        path: The file; zeros are holes in it.
        size_bytes: Size of the file, holes included.
        node: The stick's device node while it was on the host.
        read_s: Duration in seconds.
    """

    path: Path
    size_bytes: int
    node: Path
    read_s: float
