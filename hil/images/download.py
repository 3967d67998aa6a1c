"""Download an image once into a cache, resume a download that was cut short, and prove its bytes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from hil.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from hil.flash.progress import Progress
    from hil.images.source import ImageSource

__all__ = ["cache_folder", "download"]

_SILENCE_S: Final = 60.0
_CHUNK_BYTES: Final = 1024 * 1024
_ATTEMPTS: Final = 5
"""How often in a row a transfer may end without a single new byte."""

_PAUSE_S: Final = 1.0
_PARTIAL_CONTENT: Final = 206
_RANGE_NOT_SATISFIABLE: Final = 416
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for downloaded images: in `HIL_CACHE_DIR`, else in `hil` of the user's cache."""
    users = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(environ.get("HIL_CACHE_DIR") or users / "hil") / "images"


def download(source: ImageSource, cache: Path, progress: Progress) -> Path:
    """Return the file of an image that has an address; download it if the cache does not have it.

    Processes that want the same image download it once: the others wait. A file from the cache is read and
    compared with the digest each time; if it was changed, it is downloaded again.

    Args:
        source: The image: an address with a digest.
        cache: The folder that keeps images; it is made.
        progress: Receives the phases `download` and `check`.

    Raises:
        ImageError: The image cannot be downloaded, its bytes do not have the digest, or the cache cannot be
            written. What was downloaded so far is kept for the next attempt, except after a wrong digest.
    """
    folder = cache / source.sha256
    complete = folder / "image" / source.name  # a folder of its own: an image may be called `partial`
    try:
        complete.parent.mkdir(parents=True, exist_ok=True)
        with (folder / "partial").open("ab+") as partial, _locked(partial):
            if complete.exists() and _sha256(complete, progress) == source.sha256:
                return complete
            is_rest = partial.seek(0, os.SEEK_END) > 0
            found = _transfer(source, partial, progress)
            if is_rest and found != source.sha256:  # the first part may come from another file
                found = _transfer(source, partial, progress)
            if found != source.sha256:
                raise _wrong_digest(source, found)
            _keep(partial, complete)
    except OSError as error:
        raise ImageError(
            f"image {source} cannot be kept in {folder}",
            why=error.strerror or str(error),
            remedy="free space or rights there, or name another folder: HIL_CACHE_DIR",
        ) from error
    return complete


@contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    # the kernel unlocks the file of a process that ends, so no wait is longer than a download
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _keep(partial: BinaryIO, complete: Path) -> None:
    """Make the proven bytes appear under their name, and leave an empty file to lock for the next process.

    A copy by the kernel and a rename: the file that others wait to lock must stay.
    """
    beside = Path(partial.name).with_name("new")
    beside.unlink(missing_ok=True)  # a process that was killed left it, maybe read-only
    with beside.open("wb") as new:
        os.lseek(partial.fileno(), 0, os.SEEK_SET)
        while os.copy_file_range(partial.fileno(), new.fileno(), 1 << 30):
            pass
        os.fsync(new.fileno())
    beside.chmod(0o444)
    beside.rename(complete)
    os.ftruncate(partial.fileno(), 0)


def _sha256(path: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        progress.begin("check", os.fstat(file.fileno()).st_size)
        try:
            while data := file.read(_CHUNK_BYTES):
                digest.update(data)
                progress.advance(len(data))
        finally:
            progress.end()
    return digest.hexdigest()


def _transfer(source: ImageSource, partial: BinaryIO, progress: Progress) -> str:
    """Append the missing bytes, go on after a transfer that was cut short, and return the SHA-256 of all.

    Bytes with a wrong digest are deleted.

    Raises:
        ImageError: The server refuses, or no new byte came in several attempts.
    """
    idle = 0
    why = ""
    while idle < _ATTEMPTS:
        time.sleep(_PAUSE_S * idle)
        before = partial.seek(0, os.SEEK_END)
        try:
            if _receive(source, partial, progress):
                break
            why = "the transfer ended early"
        except HTTPError as error:
            if error.code == _RANGE_NOT_SATISFIABLE:  # no byte is missing, or it is another file
                break
            why = f"the server answered {error.code} {error.reason}"
            if error.code not in _TEMPORARY:
                raise _refused(source, why) from error
        except URLError as error:
            why = str(error.reason) or type(error.reason).__name__
            if isinstance(error.reason, SSLCertVerificationError):
                raise _refused(source, why) from error
        except HTTPException as error:
            why = str(error) or type(error).__name__
        idle = idle + 1 if partial.seek(0, os.SEEK_END) <= before else 0
    else:
        raise _refused(source, why)
    found = _sha256(Path(partial.name), progress)
    if found != source.sha256:
        os.ftruncate(partial.fileno(), 0)
    return found


def _receive(source: ImageSource, partial: BinaryIO, progress: Progress) -> bool:
    """Receive bytes until the transfer ends; return True if it is complete."""
    at = partial.seek(0, os.SEEK_END)
    headers = {"Range": f"bytes={at}-"} if at else {}
    request = Request(source.url, headers=headers)  # noqa: S310 - parse_image accepts https and http only
    with _network_errors():
        opened = urlopen(request, timeout=_SILENCE_S)  # noqa: S310 - parse_image accepts https and http only
    with opened as answer:
        if at and answer.status != _PARTIAL_CONTENT:  # the server sends the whole file
            os.ftruncate(partial.fileno(), 0)
            at = 0
        left = _length(answer)
        progress.begin("download", None if left is None else at + left)
        try:
            progress.advance(at)
            received = _append(answer, partial, progress)
        finally:
            progress.end()
    return left is None or received == left


def _append(answer: Any, partial: BinaryIO, progress: Progress) -> int:  # noqa: ANN401 - urllib has no type for it
    received = 0
    while data := _read(answer):
        partial.write(data)
        partial.flush()
        received += len(data)
        progress.advance(len(data))
    return received


def _read(answer: Any) -> bytes:  # noqa: ANN401 - urllib has no type for it
    with _network_errors():
        data: bytes = answer.read1(_CHUNK_BYTES)
    return data


@contextmanager
def _network_errors() -> Iterator[None]:
    """Make each `OSError` of the network a `URLError`: one of the disk must not be tried again."""
    try:
        yield
    except URLError:
        raise
    except OSError as error:
        raise URLError(error) from error


def _length(answer: Any) -> int | None:  # noqa: ANN401 - urllib has no type for it
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _refused(source: ImageSource, why: str) -> ImageError:
    return ImageError(
        f"image {source} cannot be downloaded",
        why=why,
        remedy="check the address and the network; the next run goes on where this one ended",
    )


def _wrong_digest(source: ImageSource, found: str) -> ImageError:
    return ImageError(
        f"image {source} is not the one that was asked for",
        why=f"its SHA-256 is {found}, not {source.sha256}; it was deleted",
        remedy="check the digest, or ask the server's administrator",
    )
