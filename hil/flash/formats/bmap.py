"""Block maps: which blocks of an image matter, with a checksum for each range.

Format: bmap 1.2 to 2.0 as Yocto's and Tizen's `bmaptool` write it, plain or clearsigned. A file is checked
before its content is used. Entities and document types are refused, since a block map needs none.
"""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from hil.errors import ImageError
from hil.flash.formats.stream import unreadable_error
from hil.regular_file import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["BlockMap", "BlockRange", "parse_bmap", "read_bmap"]

_LONGEST_BYTES = 16 * 1024 * 1024
"""Enough for about 140,000 ranges; a disk image's map has some thousands. Memory grows with their number."""

_FED_BYTES = 64 * 1024
_DEEPEST = 8
_KEPT = {
    *("ImageSize", "BlockSize", "BlocksCount", "MappedBlocksCount", "ChecksumType"),
    *("BmapFileChecksum", "BmapFileSHA1", "BlockMap"),
}
_OLDEST = (1, 2)
_LARGEST_MAJOR = 2
_HEX = re.compile(r"[0-9a-f]+")
_SIGNED_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_BLANK_LINE = re.compile(rb"^[ \t]*\r?\n", re.MULTILINE)
_SIGNATURE = re.compile(rb"^-----BEGIN PGP SIGNATURE-----", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Blocks that matter.

    Attributes:
        first: Number of the first block.
        last: Number of the last block, inclusive.
        checksum: Checksum of their bytes, hexadecimal; empty if there is none.
    """

    first: int
    last: int
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class BlockMap:
    """A block map.

    Attributes:
        image_bytes: Size of the image.
        block_bytes: Size of a block; the image's last block may be shorter.
        checksum_kind: Name of the checksums for `hashlib`; empty if no range has one.
        ranges: The ranges, in rising order.
        is_signed: Whether it has a signature, which is not checked.
    """

    image_bytes: int
    block_bytes: int
    checksum_kind: str
    ranges: tuple[BlockRange, ...]
    is_signed: bool = False

    @property
    def has_all_checksums(self) -> bool:
        """Whether each range has a checksum, so that the map can be verified to belong to an image."""
        return bool(self.ranges) and all(blocks.checksum for blocks in self.ranges)

    def extent(self, blocks: BlockRange) -> tuple[int, int]:
        """Return offset and length of a range, in bytes."""
        begin = blocks.first * self.block_bytes
        return begin, min((blocks.last + 1) * self.block_bytes, self.image_bytes) - begin

    @property
    def mapped_bytes(self) -> int:
        """Number of bytes that matter."""
        return sum(self.extent(blocks)[1] for blocks in self.ranges)


def read_bmap(path: Path) -> BlockMap:
    """Read and check a block map.

    Raises:
        ImageError: The file cannot be read, or is damaged.
    """
    try:
        with open_regular(path) as file:
            data = file.read(_LONGEST_BYTES + 1)
    except OSError as error:
        raise unreadable_error(path.name, error) from error
    try:
        return parse_bmap(data)
    except (ValueError, ET.ParseError) as error:
        raise ImageError(
            f"{path.name} is no block map that can be trusted",
            why=str(error),
            remedy="make it again with bmaptool create, or leave it out with --no-bmap",
        ) from error


def parse_bmap(data: bytes) -> BlockMap:
    """Parse a block map; raises ValueError or ParseError that names the fault."""
    if len(data) > _LONGEST_BYTES:
        raise ValueError(f"it is larger than {_LONGEST_BYTES >> 20} MiB, far larger than any block map")
    if b"\0" in data:
        raise ValueError("it is not text in UTF-8")
    is_signed = _is_clearsigned(data)
    if is_signed:
        data = _signed_text(data)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("it declares a document type or an entity")
    root, found = _parse(data)
    version = _version(root)
    kind = _checksum_kind(root, version)
    # A signer adds a line end after the last line if the map has none.
    _check_own_checksum(root, (data, data.rstrip(b"\r\n")) if is_signed else (data,), kind)
    image_bytes, block_bytes = _number(root, "ImageSize"), _number(root, "BlockSize")
    if image_bytes <= 0 or block_bytes <= 0:
        raise ValueError(f"an image of {image_bytes} bytes in blocks of {block_bytes}")
    ranges = tuple(_range(*one, kind) for one in found)
    _check_ranges(root, ranges, -(-image_bytes // block_bytes))
    has_checksums = any(blocks.checksum for blocks in ranges)
    return BlockMap(image_bytes, block_bytes, kind if has_checksums else "", ranges, is_signed)


def _is_clearsigned(data: bytes) -> bool:
    """Return True if a file is an OpenPGP clearsigned message (RFC 9580, section 7)."""
    return data.startswith(_SIGNED_BEGIN)


def _signed_text(data: bytes) -> bytes:
    """Return the text that was signed, with the line end that precedes the signature.

    Raises:
        ValueError: The message is cut short.
    """
    blank, signature = _BLANK_LINE.search(data), _SIGNATURE.search(data)
    if blank is None or signature is None or signature.start() < blank.end():
        raise ValueError("it is a signed message that is cut short")
    text = data[blank.end() - 1 : signature.start()]  # with a line end before the first line
    return text.replace(b"\n- ", b"\n")[1:]


def _parse(data: bytes) -> tuple[ET.Element, list[tuple[str, str]]]:
    """Parse XML into its root, without the elements of ranges, and the text and checksum of each range."""
    as_searched = ET.XMLParser(encoding="utf-8")  # noqa: S314 - in another one a declaration could hide
    parser = ET.XMLPullParser(("start", "end"), _parser=as_searched)
    path: list[ET.Element] = []
    found: list[tuple[str, str]] = []
    root = None
    for at in range(0, len(data), _FED_BYTES):
        parser.feed(data[at : at + _FED_BYTES])
        for event, node in cast("Iterator[tuple[str, ET.Element]]", parser.read_events()):
            if event == "start":
                root = node if root is None else root
                path.append(node)
                if len(path) > _DEEPEST:
                    raise ValueError("its elements are nested too deeply")
                continue
            path.pop()
            if node.tag == "Range" and [one.tag for one in path] == ["bmap", "BlockMap"]:
                found.append(((node.text or "").strip(), node.get("chksum", node.get("sha1", ""))))
            if path and not (path[-1] is root and node.tag in _KEPT):
                path[-1].remove(node)
    parser.close()
    if root is None:
        raise ValueError("it is empty")
    return root, found


def _version(root: ET.Element) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]+)\.([0-9]+)", root.get("version", "").strip())
    if root.tag != "bmap" or found is None:
        raise ValueError("it is XML, but no bmap with a version")
    version = int(found[1]), int(found[2])
    if version < _OLDEST or version[0] > _LARGEST_MAJOR:
        raise ValueError(f"bmap version {version[0]}.{version[1]} is not known, 1.2 to 2.x are")
    return version


def _checksum_kind(root: ET.Element, version: tuple[int, int]) -> str:
    """Return the name of the checksums; versions before 1.4 do not name it and use SHA-1."""
    if version < (1, 4):
        return "sha1"
    kind = _text(root, "ChecksumType").lower()
    if kind not in {"sha1", "sha224", "sha256", "sha384", "sha512"}:
        raise ValueError(f"checksums of type {kind!r} are not known")
    return kind


def _check_own_checksum(root: ET.Element, texts: Sequence[bytes], kind: str) -> None:
    """Compare the map's checksum of itself, computed with zeros in place of that checksum."""
    node = root.find("BmapFileChecksum")
    node = node if node is not None else root.find("BmapFileSHA1")
    if node is None:
        if _version(root) >= (1, 3):
            raise ValueError("its own checksum is missing")
        return
    given = (node.text or "").strip()
    if not _HEX.fullmatch(given) or texts[0].count(given.encode()) != 1:
        raise ValueError("its own checksum is no checksum")
    zeroed = (text.replace(given.encode(), b"0" * len(given)) for text in texts)
    if given not in (hashlib.new(kind, text).hexdigest() for text in zeroed):
        raise ValueError("its own checksum does not agree: it was changed, or not fetched whole")


def _range(text: str, checksum: str, kind: str) -> BlockRange:
    found = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", text)
    if found is None:
        raise ValueError(f"a range that reads {text!r}")
    checksum = checksum.lower()
    if checksum and len(checksum) != 2 * hashlib.new(kind).digest_size:
        raise ValueError(f"the range {text} has a checksum that is no {kind}")
    return BlockRange(int(found[1]), int(found[2] or found[1]), checksum)


def _check_ranges(root: ET.Element, ranges: tuple[BlockRange, ...], blocks: int) -> None:
    """Check that ranges rise, lie within the image, and have as many blocks as the map says."""
    if _number(root, "BlocksCount") != blocks:
        raise ValueError(f"its sizes make {blocks} blocks, it says {_number(root, 'BlocksCount')}")
    free = 0
    for one in ranges:
        if not free <= one.first <= one.last < blocks:
            raise ValueError(f"the range {one.first}-{one.last} is out of order or outside of the image")
        free = one.last + 1
    mapped = sum(one.last - one.first + 1 for one in ranges)
    if _number(root, "MappedBlocksCount") != mapped:
        raise ValueError(f"its ranges map {mapped} blocks, it says {_number(root, 'MappedBlocksCount')}")


def _text(root: ET.Element, name: str) -> str:
    node = root.find(name)
    if node is None or not (node.text or "").strip():
        raise ValueError(f"{name} is missing")
    return (node.text or "").strip()


def _number(root: ET.Element, name: str) -> int:
    text = _text(root, name)
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"{name} is {text!r}, not a number")
    return int(text)
