"""The glossary has each word once, and names only words that are used and files that exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
ROWS = re.findall(
    r"^\| (?!word )([^|-][^|]*) \| .* \| `(\S+)` \|$", GLOSSARY.read_text("utf-8"), re.MULTILINE
)
WORDS = [word for words, _ in ROWS for word in words.split(", ")]
PAGES = [path for path in (ROOT / "docs").glob("*.md") if path != GLOSSARY]


@pytest.fixture(scope="module")
def all_text() -> str:
    """The package and its pages, in lower case, with each run of white space and `_` as one space."""
    paths = [*(ROOT / "hil").rglob("*.py"), ROOT / "README.md", *PAGES]
    return re.sub(r"[\s_]+", " ", " ".join(path.read_text("utf-8") for path in paths)).lower()


def test_glossary_has_each_word_once() -> None:
    assert [word for word, count in Counter(WORDS).items() if count > 1] == []
    assert len(ROWS) == GLOSSARY.read_text("utf-8").count("` |\n"), "a row that this test does not read"


def test_glossary_names_files_that_exist() -> None:
    assert [path for _, path in ROWS if not (ROOT / path).is_file()] == []


def test_glossary_words_are_used(all_text: str) -> None:
    assert [word for word in WORDS if not re.search(rf"\b{re.escape(word.lower())}", all_text)] == []
