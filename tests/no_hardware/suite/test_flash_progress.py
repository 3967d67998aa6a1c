"""A test that flashes prints nothing without `-s`: its progress is in what pytest captures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.thorough  # runs of the suite
FLASH = """
def test_flash(storage, tmp_path):
    image = tmp_path / "image.img"
    image.write_bytes(bytes(range(256)) * 8192)
    storage.flash(image)
"""


@pytest.mark.parametrize(("asked", "lines"), [((), 0), (("-rP",), 1)])
def test_progress_is_shown_when_asked_for(run_suite: RunSuite, asked: tuple[str, ...], lines: int) -> None:
    inner = run_suite(FLASH, "--hil-boards=sim:1", *asked)

    assert inner.results()["test_flash"] == "passed"
    assert inner.text.count("hil: write: ") == lines


def test_a_test_that_fails_shows_how_far_it_came(run_suite: RunSuite) -> None:
    inner = run_suite(FLASH + "    assert False\n", "--hil-boards=sim:1")

    assert inner.text.count("hil: write: ") == 1
