"""Two boards and two images: each test on each board with each image, on the kernel's own disks."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.kernel.inner_suite import run_suite

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)  # sticks come many times, ten seconds each
LIMIT_S = 800
VERSIONS = ("v2.0", "v2.1")
BOOTS = """
def test_boot(power, storage, image, request):
    assert image.version in request.node.name
    assert storage.position == "dut"
    power.read()
    storage.host()
    node = storage.wait_for_node()
    content = image.path.read_bytes()
    with open(node, "rb") as disk:
        assert disk.read(len(content)) == content
"""


def test_each_board_holds_each_image_that_its_test_names(boards: tuple[str, ...], tmp_path: Path) -> None:
    options = []
    for version in VERSIONS:
        content = bytearray(random.Random(version).randbytes(1 << 20))  # noqa: S311 - no secret
        content[510:512] = b"\x55\xaa"
        image = tmp_path / f"dut-{version}.img"
        image.write_bytes(content)
        options.append(f"--hil-image={image}")

    outcomes = run_suite(tmp_path, BOOTS, "--hil-each=board", "-n", "2", *options, limit_s=LIMIT_S)

    cells = {f"test_boot[{board}-{version}]": board for board in boards for version in VERSIONS}
    assert {name: (one.result, one.board) for name, one in outcomes.items()} == {
        name: ("passed", board) for name, board in cells.items()
    }
