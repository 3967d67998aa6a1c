"""Where an image comes from: a file, or an address with the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from hil.errors import UsageError
from hil.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ImageSource", "image_labels", "parse_image"]

_VERSION = re.compile(
    r"(?<![A-Za-z0-9])v?[0-9]+(?:\.[0-9]+)+(?:[-+](?:rc|alpha|beta)[.0-9]*)?(?![A-Za-z0-9])"
)
_ENDING = re.compile(
    r"\.(?:gz|gzip|bz2|xz|zst|zstd|lz4|img|raw|wic|bin|iso|hddimg|sdimg|rpi-sdimg|sdcard|direct|disk|dd)$",
    re.IGNORECASE,
)
_DIGEST: Final = "sha256="
_KEY_DIGITS = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FIT_FOR_REQUEST = re.compile(r"[!-~]+")
_UNFIT_FOR_ID = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image that a user named.

    Attributes:
        path: Its file; None if it has an address.
        url: Its address, without the digest; empty if it is a file.
        sha256: The digest that its bytes must have, as 64 hexadecimal digits; empty for a file.
    """

    path: Path | None = None
    url: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        if self.path is not None:
            return self.path.name
        return PurePosixPath(unquote(urlsplit(self.url).path)).name

    @property
    def shown_url(self) -> str:
        """The address without user, password and query, which may be secrets."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def key(self) -> str:
        """A short text that tells it from every other image, without the secrets of its address."""
        text = f"{self.url}#{_DIGEST}{self.sha256}" if self.path is None else str(self.path)
        return hashlib.sha256(os.fsencode(text)).hexdigest()[:_KEY_DIGITS]

    @property
    def version(self) -> str:
        """The version in the file's name, such as `v2.1` or `1.0.3`; empty if there is not exactly one."""
        found = set(_VERSION.findall(self.stem))
        return found.pop() if len(found) == 1 else ""

    @property
    def stem(self) -> str:
        """The file's name without the endings of its format and compression."""
        stem = self.name
        while (shorter := _ENDING.sub("", stem)) not in {stem, ""}:
            stem = shorter
        return stem

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else self.shown_url


def parse_image(text: str, folder: Path) -> ImageSource:
    """Return the image that a user named.

    Args:
        text: The path of a file, or an `https:` or `http:` address that ends in `#sha256=` and the digest.
        folder: The folder from which a relative path leads.

    Raises:
        UsageError: There is no such file, it is no file, or an address is malformed or lacks its digest.
    """
    if not text.strip():
        raise UsageError("the image has no name", why="the text is empty", remedy="give a file or an address")
    _refuse_control_characters(text)
    if _SCHEME.match(text):
        return _parse_address(text)
    path = Path(folder, Path(text).expanduser())
    if path.is_dir():
        raise UsageError(f"{path} is no image", why="it is a folder", remedy="give the path of an image file")
    if not path.exists():
        raise UsageError(f"there is no image {path}", why="no file has this path", remedy=_near(path))
    source = ImageSource(path.resolve())
    _refuse_control_characters(str(source.path))
    return source


def _refuse_control_characters(name: str) -> None:
    """Refuse a name that would break the lines in which a run names its image, and its records."""
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        raise UsageError(
            f"the image {name!r} is refused", why="it has a control character in its path", remedy="rename it"
        )


def image_labels(images: Sequence[ImageSource]) -> list[str]:
    """Return a short label for each of several different images, for test ids; no two labels are equal.

    A label is the version in the file's name if no other image has it, else the name without its endings. It
    does not depend on the order of the images. Equal names get the first digits of a digest, or the parts of
    their paths that differ.
    """
    versions = Counter(image.version for image in images)
    labels = [
        image.version if image.version and versions[image.version] == 1 else image.stem for image in images
    ]
    labels = [_UNFIT_FOR_ID.sub("-", label) for label in labels]
    paths = [
        [one.path for one, its in zip(images, labels, strict=True) if one.path and its == label]
        for label in labels
    ]
    labels = _extended(labels, map(_difference, images, paths))
    names = (os.fsencode(image.url or str(image.path)) for image in images)
    return _extended(labels, (hashlib.sha256(name).hexdigest()[:8] for name in names))


def _extended(labels: Sequence[str], additions: Iterable[str]) -> list[str]:
    """Return labels; one that occurs more than once is followed by its addition."""
    count = Counter(labels)
    return [
        _UNFIT_FOR_ID.sub("-", f"{label}-{addition}") if addition and count[label] > 1 else label
        for label, addition in zip(labels, additions, strict=True)
    ]


def _difference(image: ImageSource, paths: Sequence[Path]) -> str:
    """Return what tells an image from others with the same label: of its path, the parts that differ.

    Args:
        image: The image.
        paths: The paths of those with the same label, its own too.
    """
    if image.path is None:
        return image.sha256[:8]
    start = _common_length(path.parts for path in paths)
    end = _common_length(path.parts[start:][::-1] for path in paths)
    parts = image.path.parts[start:]
    return "-".join(parts[: len(parts) - end])


def _common_length(paths: Iterable[Sequence[str]]) -> int:
    """Return how many of their first parts all paths have in common."""
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False)))


def _parse_address(text: str) -> ImageSource:
    url, _, fragment = text.partition("#")
    parts = _split(url)
    source = ImageSource(url=url)
    _refuse_control_characters(source.name)
    if parts.scheme.lower() not in {"https", "http"}:
        raise UsageError(
            f"an image cannot be downloaded by {parts.scheme}",
            why="hil downloads by https and http",
            remedy="give an https address, or download the image and give its path",
        )
    if not parts.hostname or source.name in {"", ".."}:
        raise UsageError(
            f"{source.shown_url} is no address of an image",
            why="it names no host, or no file",
            remedy="https://HOST/PATH/IMAGE#sha256=DIGEST",
        )
    digest = fragment.removeprefix(_DIGEST).lower()
    if not fragment.startswith(_DIGEST) or not _SHA256.fullmatch(digest):
        why = (
            "its digest is not 64 hexadecimal digits"
            if fragment
            else "it has no digest, so nothing proves it"
        )
        raise UsageError(
            f"{source.shown_url} is not downloaded",
            why=why,
            remedy=f"append #sha256=DIGEST to it; sha256sum {source.name} prints the digest",
        )
    return ImageSource(url=url, sha256=digest)


def _split(url: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        UsageError: It cannot be asked for, or names a user. The error shows no part that may be a secret.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        parts = None
    if parts is None or not _FIT_FOR_REQUEST.fullmatch(url):
        raise UsageError(
            "the address of an image cannot be read",
            why="its host or port is malformed, or it has spaces or characters beyond ASCII",
            remedy="https://HOST/PATH/IMAGE#sha256=DIGEST; write such a character as %20",
        )
    if "@" in parts.netloc:
        raise UsageError(
            f"{ImageSource(url=url).shown_url} is not downloaded",
            why="its address has a user or a password, which hil does not send",
            remedy="give an address that needs none, or download the image and give its path",
        )
    return parts


_LIKE_AN_IMAGE = 0.75
"""So `nofile.img` is not taken for `noxfile.py`."""


def _near(path: Path) -> str:
    """Return the remedy for a file that does not exist."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return "check the path"
    near = nearest(path.name, names, _LIKE_AN_IMAGE)
    return f"did you mean {path.parent / near}?" if near else "check the path"
