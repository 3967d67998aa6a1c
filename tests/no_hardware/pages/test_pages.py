"""Each example of each page does what the page says, on simulated boards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hil.sim.process import SimulatorProcess
from tests.no_hardware.pages.bench import Reader
from tests.no_hardware.pages.blocks import PAGES, blocks_of, name_of
from tests.no_hardware.pages.stages import NOT_RUN, NOT_TYPED, STAGES, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.no_hardware.pages.blocks import Block

RUN = {"python", "toml", "console"}


def is_done(block: Block) -> bool:
    """Return whether there is something to do in a block, rather than only commands that no test types."""
    lines = block.commands() if block.language == "console" else [""] if block.language in RUN else []
    return any(not any(re.match(begin, line) for begin in NOT_TYPED) for line in lines)


WITH_EXAMPLES = [page for page in PAGES if any(is_done(block) for block in blocks_of(page))]


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name_of)
def test_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    stage = STAGES.get(name_of(page), Stage())
    with SimulatorProcess(boards=stage.boards, speed=5) as simulator:
        reader = Reader(tmp_path, simulator, stage)
        reader.prepare()
        for number, block in enumerate(blocks_of(page)):
            reader.do(block, number)

        said = reader.run_tests()

    passed = sum(map(int, re.findall(r"(\d+) passed", said)))
    tests = sum(block.is_test for block in blocks_of(page))
    assert passed >= tests, said
    assert not re.search(r"[1-9]\d* (failed|error|skipped)", said), said


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_is_run_or_of_a_kind_that_is_not(page: Path) -> None:
    languages = {block.language for block in blocks_of(page)}

    assert languages - RUN - set(NOT_RUN) == set()


def test_no_reason_is_left_over() -> None:
    lines = [
        line
        for page in PAGES
        for block in blocks_of(page)
        if block.language == "console"
        for line in block.commands()
    ]

    assert [begin for begin in NOT_TYPED if not any(re.match(begin, line) for line in lines)] == []
    assert set(NOT_RUN) <= {block.language for page in PAGES for block in blocks_of(page)}
    assert set(STAGES) <= set(map(name_of, PAGES))
