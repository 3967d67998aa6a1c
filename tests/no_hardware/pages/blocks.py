"""The fenced blocks of a page, and the command lines in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

__all__ = ["PAGES", "ROOT", "Block", "blocks_of", "name_of"]

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_TEST = re.compile(r"^(async )?def test_|^class Test", re.MULTILINE)
_TEST_FILE = re.compile(r"`(tests/test_\w+\.py)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        line: The number of its first line in the page.
        language: What stands after the fence; may be empty.
        text: What is in it, without common indentation.
        file: The file of tests that the paragraph before it names; may be empty.
    """

    line: int
    language: str
    text: str
    file: str

    @property
    def is_test(self) -> bool:
        """Whether pytest would collect a test from it."""
        return self.language == "python" and bool(_TEST.search(self.text))

    def commands(self) -> list[str]:
        """Return its command lines. If some begin with `$ `, all others are output."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return typed or lines


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        named = _TEST_FILE.findall(text[: match.start()].rpartition("\n\n")[0].rpartition("\n\n")[2])
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(line, match[2], dedent(match[3]), named[-1] if named else ""))
    return found


def name_of(page: Path) -> str:
    """Return the name of a page, as in `docs/power.md`."""
    return page.relative_to(ROOT).as_posix()
