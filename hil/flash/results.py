"""What came of flashing a stick, or of reading it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Flashed", "ReadBack"]

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Flashed:
    """An image that is proven to be on the stick.

    Attributes:
        label: The image's file name.
        size_bytes: Its size, holes included.
        mapped_bytes: How many of its bytes are stored in it and matter. They were read back from the stick,
            and zeros in the place of its holes, now or when it was proven; see `fingerprint`.
        written_bytes: How many of them were written; 0 where the stick held the image already.
        node: The stick's device node, while it was on the host.
        compare_s: How long it took to find out what the stick held, in seconds.
        write_s: The same for writing, until the stick said that it had everything.
        verify_s: The same for reading back what was written.
        digest: By which the image is told from another one of its name: the same for an archive of it; see
            `hil.flash.formats.digest`.
        fingerprint: By which the stick is known again as long as nobody has had it; see
            `hil.flash.fingerprint`.
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
        """Which image it is, in words: its name, its size, and the first digits of its digest."""
        facts = filter(None, (f"{self.size_bytes} bytes", self.digest[:_DIGITS]))
        return f"{self.label} ({', '.join(facts)})"

    @property
    def was_written(self) -> bool:
        """Whether anything was written; False: the stick held the image already."""
        return self.written_bytes > 0


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A stick's bytes in a file.

    Attributes:
        path: The file; zeros are holes in it.
        size_bytes: Its size, holes included.
        node: The stick's device node, while it was on the host.
        read_s: How long it took, in seconds.
    """

    path: Path
    size_bytes: int
    node: Path
    read_s: float
