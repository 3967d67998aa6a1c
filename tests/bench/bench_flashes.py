"""How often a run flashes its boards, against the bound: boards x images at most.

Each test runs on each board with each image (`--hil-each board`), or on any board; in two of the last runs,
each of two boards has an image of its own, and in three a test with two boards is among the tests. A board
whose tests all want one image is flashed once. The simulated sticks are empty before the run, so each image
that is put on a board is written there.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.harness import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.harness import Row

ROOT = Path(__file__).parents[2]
TESTS = 4
IMAGE_BYTES = 1 << 18
SUMMARY = re.compile(
    r"images: (at most )?(\d+) flash(?:es)? planned, (\d+) done: (\d+) written.*?(?:(\d+) written again)?$",
    re.MULTILINE,
)
SOURCE = "pytest_plugins = ['hil.plugin']\n"
PAIR = """
import pytest

@pytest.mark.hardware(boards=2)
def test_pair(dutlinks):
    for board in dutlinks.values():
        board.power.read()
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One run.

    Attributes:
        boards: The number of boards.
        images: The number of images.
        each: Whether each test runs on each board.
        own: Whether each image is for one board only.
        pairs: Whether a test with two boards is among them.
    """

    boards: int
    images: int
    each: bool
    own: bool = False
    pairs: bool = False

    @property
    def bound(self) -> int:
        """How many flashes are needed at most."""
        return self.boards if self.own else self.boards * self.images

    def __str__(self) -> str:
        where = "on each board" if self.each else "on any board"
        which = ", one for each board" if self.own else ""
        pairs = " and one on two" if self.pairs else ""
        return f"{self.boards} boards, {self.images} images{which}, {TESTS} tests {where}{pairs}"


def main() -> int:
    """Run each case and print its row; return 1 if a bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--images", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    cases = [
        Case(boards, images, each)
        for boards in options.boards
        for images in options.images
        for each in (True, False)
    ]
    cases += [
        Case(2, 2, each=True, own=True),
        *(
            Case(2, images, each=True, own=own, pairs=True)
            for images, own in ((2, False), (3, False), (2, True))
        ),
    ]
    return show(_rows(cases, options.workers))


def _rows(cases: list[Case], workers: int) -> Iterator[Row]:
    for case in cases:
        at_most, planned, done, written, again = _run(case, workers)
        figures = f"flashes: {at_most}{planned} planned, {done} done, {written} written, {again} again"
        is_planned = done <= planned if at_most else done == planned
        holds = is_planned and done <= case.bound and written == done and not again
        yield f"{case}: {figures}, bound {case.bound}:", holds


def _run(case: Case, workers: int) -> tuple[str, int, int, int, int]:
    """Return what the summary of a run tells: whether the plan is a bound, and the numbers of flashes.

    Raises:
        subprocess.CalledProcessError: A test failed, so the numbers mean nothing.
    """
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as name:
        folder = Path(name)
        images = [folder / f"dut-v{number}.0.img" for number in range(case.images)]
        for image in images:
            image.write_bytes(os.urandom(510) + b"\x55\xaa" + os.urandom(IMAGE_BYTES - 512))
        folder.joinpath("conftest.py").write_text(SOURCE, encoding="utf-8")
        tests = [f"def test_{number}(power, image):\n    power.read()\n" for number in range(TESTS)]
        tests += [PAIR] * case.pairs
        folder.joinpath("test_all.py").write_text("\n".join(tests), encoding="utf-8")
        asked = [
            f"--hil-image=sim-{number}={image}" if case.own else f"--hil-image={image}"
            for number, image in enumerate(images, start=1)
        ]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            str(workers),
            f"--hil-boards=sim:{case.boards},speed=20",
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HIL_LOCK_DIR": str(folder)}
        told = subprocess.run(
            [*command, *asked, *(["--hil-each=board"] if case.each else [])],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    found = SUMMARY.search(told)
    at_most, *numbers = found.groups() if found else ("", *"0000")
    planned, done, written, again = (int(number or 0) for number in numbers)
    return at_most or "", planned, done, written, again


if __name__ == "__main__":
    sys.exit(main())
