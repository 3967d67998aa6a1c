"""Downloads: once, resumed, proven; a real server on loopback."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.request import urlopen

import pytest

from hil.errors import ImageError
from hil.flash.progress import NoProgress
from hil.images import download as downloads
from hil.images.download import cache_folder, download
from hil.images.source import ImageSource
from tests.support.image_server import ImageServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.no_hardware
CONTENT = os.urandom(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_PAUSE_S", 0.0)


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer(CONTENT).running() as running:
        yield running


def _image(server: ImageServer, digest: str = DIGEST) -> ImageSource:
    return ImageSource(url=server.url, sha256=digest)


def test_download_keeps_the_image_under_its_name(server: ImageServer, tmp_path: Path) -> None:
    found = download(_image(server), tmp_path, NoProgress())
    assert (found.name, found.read_bytes()) == ("dut-v2.1.img", CONTENT)


def test_download_happens_once(server: ImageServer, tmp_path: Path) -> None:
    download(_image(server), tmp_path, NoProgress())
    download(_image(server), tmp_path, NoProgress())
    assert server.asked_from == [0]


def test_download_goes_on_where_a_transfer_was_cut(server: ImageServer, tmp_path: Path) -> None:
    server.cut_after_bytes = 200_000
    assert download(_image(server), tmp_path, NoProgress()).read_bytes() == CONTENT
    assert server.asked_from == [0, 200_000]


def test_download_goes_on_in_the_next_process(server: ImageServer, tmp_path: Path) -> None:
    server.cut_after_bytes = 0
    folder = tmp_path / DIGEST
    folder.mkdir()
    (folder / "partial").write_bytes(CONTENT[:1000])
    with pytest.raises(ImageError, match="ended early"):
        download(_image(server), tmp_path, NoProgress())
    server.cut_after_bytes = None
    assert download(_image(server), tmp_path, NoProgress()).read_bytes() == CONTENT
    assert set(server.asked_from) == {1000}


def test_download_starts_again_if_the_server_knows_no_ranges(server: ImageServer, tmp_path: Path) -> None:
    server.knows_ranges = False
    folder = tmp_path / DIGEST
    folder.mkdir()
    (folder / "partial").write_bytes(CONTENT[:1000])
    assert download(_image(server), tmp_path, NoProgress()).read_bytes() == CONTENT


def test_download_starts_again_if_the_kept_part_is_another_files(server: ImageServer, tmp_path: Path) -> None:
    folder = tmp_path / DIGEST
    folder.mkdir()
    (folder / "partial").write_bytes(b"x" * 1000)
    assert download(_image(server), tmp_path, NoProgress()).read_bytes() == CONTENT
    assert server.asked_from == [1000, 0]


def test_download_completes_a_process_that_died_before_the_proof(server: ImageServer, tmp_path: Path) -> None:
    folder = tmp_path / DIGEST
    folder.mkdir()
    (folder / "partial").write_bytes(CONTENT)
    assert download(_image(server), tmp_path, NoProgress()).read_bytes() == CONTENT
    assert server.asked_from == [len(CONTENT)]


def test_download_refuses_a_wrong_digest_and_keeps_nothing(server: ImageServer, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is not the one that was asked for"):
        download(_image(server, "0" * 64), tmp_path, NoProgress())
    assert (tmp_path / ("0" * 64) / "partial").stat().st_size == 0
    assert not (tmp_path / ("0" * 64) / "dut-v2.1.img").exists()


def test_download_replaces_a_cached_file_that_was_changed(server: ImageServer, tmp_path: Path) -> None:
    found = download(_image(server), tmp_path, NoProgress())
    found.chmod(0o644)
    found.write_bytes(b"changed")
    assert download(_image(server), tmp_path, NoProgress()).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404])
def test_download_refusal_is_final(server: ImageServer, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(ImageError, match=f"answered {status}"):
        download(_image(server), tmp_path, NoProgress())
    assert server.asked_from == [0]


def test_download_is_tried_again_while_the_server_is_overloaded(server: ImageServer, tmp_path: Path) -> None:
    server.status = 503
    with pytest.raises(ImageError, match="503"):
        download(_image(server), tmp_path, NoProgress())
    assert server.asked_from == [0] * 5


def test_download_error_names_a_cache_that_cannot_be_written(server: ImageServer, tmp_path: Path) -> None:
    (tmp_path / DIGEST).write_text("a file in place of the folder")
    with pytest.raises(ImageError, match="cannot be kept in") as caught:
        download(_image(server), tmp_path, NoProgress())
    assert "HIL_CACHE_DIR" in str(caught.value)


def test_download_by_two_at_once_happens_once(server: ImageServer, tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(download(_image(server), tmp_path, NoProgress()).read_bytes())
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4
    assert server.asked_from == [0]


class _LosesRoute:
    """An answer whose network is lost at its first read."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()

    def read1(self, _bytes: int) -> bytes:
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))


def test_download_goes_on_after_the_route_to_the_server_was_lost(
    server: ImageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([_LosesRoute])

    def opened(*args: Any, **limits: Any) -> Any:
        return next(answers, lambda answer: answer)(urlopen(*args, **limits))  # noqa: S310 - loopback

    monkeypatch.setattr("hil.images.download.urlopen", opened)
    assert download(_image(server), tmp_path, NoProgress()).read_bytes() == CONTENT


def test_download_error_names_a_disk_that_is_full(server: ImageServer, tmp_path: Path) -> None:
    (tmp_path / DIGEST).mkdir()
    (tmp_path / DIGEST / "partial").symlink_to("/dev/full")
    with pytest.raises(ImageError, match=r"cannot be kept in.*No space left"):
        download(_image(server), tmp_path, NoProgress())
    assert server.asked_from == [0]


@pytest.mark.parametrize("name", ["partial", "new", ".partial.new", "x" * 255])
def test_download_keeps_an_image_of_any_name(server: ImageServer, tmp_path: Path, name: str) -> None:
    image = ImageSource(url=server.url.replace("dut-v2.1.img", name), sha256=DIGEST)
    for _ in range(2):
        assert download(image, tmp_path, NoProgress()).read_bytes() == CONTENT
    assert server.asked_from == [0]


def test_download_replaces_what_a_killed_process_left(server: ImageServer, tmp_path: Path) -> None:
    (tmp_path / DIGEST).mkdir()
    (tmp_path / DIGEST / "new").symlink_to("/dev/full")  # cannot be written, by root neither
    assert download(_image(server), tmp_path, NoProgress()).read_bytes() == CONTENT


def test_cache_folder_is_the_users(tmp_path: Path) -> None:
    assert cache_folder({"HIL_CACHE_DIR": "/var/cache/hil"}).as_posix() == "/var/cache/hil/images"
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "hil" / "images"
