from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import Board, open_driver
from tests.support.fake_bus import FakeBoard, host_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.host import Host


@pytest.fixture
def fake() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    folder = tmp_path / "dev"
    (folder / "disk" / "by-id").mkdir(parents=True)
    (folder / "serial" / "by-id").mkdir(parents=True)
    return folder


@pytest.fixture
def host(fake: FakeBoard, dev: Path) -> Host:
    return host_with(fake, dev=dev)


@pytest.fixture
def board(host: Host, fake: FakeBoard) -> Iterator[Board]:
    with open_driver(host, console=False) as board:
        fake.requests.clear()
        yield board
