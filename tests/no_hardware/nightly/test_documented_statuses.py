"""Exit statuses in packaging and docs: each number is one that hil ends with, and means what is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hil.cli.commands.nightly import run
from hil.nightly.run_folder import LATE
from hil.suite.outcome.exit_status import Status

ROOT = Path(__file__).parents[3]
FILES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "packaging").rglob("*") if path.is_file()),
    *sorted((ROOT / "hil" / "data" / "ci").glob("*-sim.yml")),
    *sorted((ROOT / "docs").glob("*.md")),
]
STATUS = re.compile(r"\b(?:exit[ _-](?:status|codes?):?|status(?:es)?|red \() ?(\d+)\b", re.IGNORECASE)
OF_A_COMMAND = {0, 1, 2, 126, 127, 130, 143}
KNOWN = {*Status, *pytest.ExitCode, LATE, *OF_A_COMMAND}
WORDS = {
    "flaky": Status.FLAKY,
    "bench": Status.BENCH_NOT_READY,
    "tests failed": Status.TESTS_FAILED,
    "nothing ran": Status.NOTHING_RAN,
    "no test ran": Status.NOTHING_RAN,
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_status_in_a_file_is_one_that_hil_ends_with(file: Path) -> None:
    numbers = {int(number) for number in STATUS.findall(file.read_text(encoding="utf-8"))}

    assert numbers - KNOWN == set()


@pytest.mark.parametrize("file", FILES[2:], ids=lambda file: file.name)
def test_each_status_in_a_list_has_the_meaning_of_the_code(file: Path) -> None:
    wrong = [line for line in file.read_text(encoding="utf-8").splitlines() if not tells_the_truth(line)]

    assert wrong == []


def test_table_of_nightly_page_has_each_status() -> None:
    page = (ROOT / "docs" / "nightly.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| (\d+) \| .+ \|$", page, re.MULTILINE)
    assert sorted(map(int, rows)) == sorted(Status)
    assert f"or {LATE} if a night was due" in " ".join(page.split())


def test_help_of_nightly_run_has_the_meanings_of_the_code() -> None:
    assert tells_the_truth(" ".join((run.help or "").split("Exit status:")[1].split()))


def tells_the_truth(line: str) -> bool:
    """Return whether each `17 flaky`, `17 # flaky` and table row `| 17 | flaky` has the right number."""
    pairs = re.findall(r"(?<![\w.])(\d+)(?: # | \| | |: )((?:the )?[a-z ]+)", line)
    if not re.search("xit.status|exit_codes|^\\| \\d", line, re.IGNORECASE):
        return True
    said = ((int(number), value) for number, text in pairs for word, value in WORDS.items() if word in text)
    return all(number == value for number, value in said)
