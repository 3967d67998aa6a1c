"""Check the plan of the house: files per folder, import cycles, class names, words. Run by `nox -s lint`."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
MOST_FILES = 16
LARGER = {"hil/sim/board", "hil/cli/commands", "hil/jumpstarter/client", "hil/jumpstarter/exporter"}
PUBLIC = Path("hil/__init__.py")
"""It names modules of every floor, for type checkers alone."""

FORBIDDEN = re.compile(r"\b(whoever|whomever|nobody|somebody|anew|meanwhile|behind)\b", re.IGNORECASE)
"""Words that hide the actor, or that have a plainer twin: *after*, *again*, *while*."""


def main() -> int:
    """Print each fault of the house; return 1 if there is one."""
    files = {path.relative_to(ROOT): path.read_text("utf-8") for path in modules()}
    trees = {path: ast.parse(text) for path, text in files.items()}
    faults = [
        *crowded_folders(trees),
        *cycles(trees),
        *doubled_classes(trees),
        *(fault for path, text in files.items() for fault in forbidden_words(path, text, trees[path])),
    ]
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


def modules() -> list[Path]:
    """Return the files of the package; `hil/plugin.py` is a link to the root `conftest.py`."""
    return sorted(path for path in (ROOT / "hil").rglob("*.py") if not path.is_symlink())


def crowded_folders(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Tell folders of more than 16 modules beside their `__init__.py`."""
    count = Counter(path.parent.as_posix() for path in trees if path.name != "__init__.py")
    for folder, number in count.items():
        if number > MOST_FILES and folder not in LARGER:
            yield f"{folder}: {number} modules, at most {MOST_FILES}"


def cycles(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Tell one import cycle, if there is one; imports for type checkers and in functions count."""
    names = {module_name(path): tree for path, tree in trees.items() if path != PUBLIC}
    graph = {name: imported(tree, names.keys()) - {name} for name, tree in names.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"import cycle: {' <- '.join(error.args[1])}"


def module_name(path: Path) -> str:
    """Return the dotted name of a module."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.Module, known: set[str]) -> set[str]:
    """Return the modules of the package that a module imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def doubled_classes(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Tell class names that stand in more than one module."""
    where: defaultdict[str, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(path.as_posix())
    for name, places in where.items():
        if len(places) > 1:
            yield f"class {name} stands in {', '.join(places)}"


def forbidden_words(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    """Tell forbidden words in the docstrings and comments of a module."""
    for line, words in [*docstrings(tree), *comments(text)]:
        for found in FORBIDDEN.finditer(words):
            yield f"{path}:{line + words.count(chr(10), 0, found.start())}: the word {found[0]!r}"


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield first line and text of each string that stands alone."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.lineno, node.value.value


def comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


if __name__ == "__main__":
    sys.exit(main())
