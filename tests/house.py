"""Check the plan of the house, `hil/` and `tests/`. Run by `nox -s lint`.

Files per folder, import cycles, names that stand twice, words, programs in strings, dotted names.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from functools import cache
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

LONGEST_PROGRAM = 10
"""Lines of a program in a string of a test. A longer one is a file in `programs` beside the test."""

PROGRAM = re.compile(r"^\s*(import \w|from \S+ import |(async )?def \w|class \w)", re.MULTILINE)

NAMING = ("hil", "tests", "docs", "packaging", ".ci")
"""Folders whose files, and those in the root, name modules: in code, in programs in strings, in prose."""

SUFFIXES = {".py", ".md", ".toml", ".sh"}
OLD_NAMES = Path("hil/old_paths.py")
NAMING_OTHERS = {"CHANGELOG.md", "copied_conftest.py", "test_public_names.py", OLD_NAMES.name}
"""Files with names that do not exist, or do not exist any more."""

FILE_NAMES = {"hil.conf"}
DOTTED = re.compile(r"(?<![\w./-])hil(?:\.[A-Za-z]\w*)+(?![\w/*])")
IMPORTED = re.compile(r"\bfrom ((?:hil|tests)(?:\.\w+)*) import (\([^)]*\)|[\w, ]+)")


def main() -> int:
    """Print each fault of the house; return 1 if there is one."""
    files = {path.relative_to(ROOT): path.read_text("utf-8") for path in modules("hil", "tests")}
    trees = {path: ast.parse(text) for path, text in files.items()}
    package, tests, support = (below(trees, folder) for folder in ("hil", "tests", "tests/support"))
    faults = [
        *crowded_folders(package | support),
        *cycles(package),
        *doubled_names(package, ast.ClassDef),
        *doubled_names(support, ast.ClassDef, ast.FunctionDef),
        *(fault for path, tree in tests.items() for fault in long_programs(path, tree)),
        *(fault for path, text in files.items() for fault in forbidden_words(path, text, trees[path])),
        *dangling_names(),
    ]
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


def modules(*folders: str) -> list[Path]:
    """Return the files in the folders; `hil/plugin.py` is a link to the root `conftest.py`."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if not path.is_symlink())


def below(trees: dict[Path, ast.Module], folder: str) -> dict[Path, ast.Module]:
    """Return the modules in a folder."""
    return {path: tree for path, tree in trees.items() if path.is_relative_to(folder)}


def crowded_folders(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Tell folders of more than 16 modules beside their `__init__.py`."""
    count = Counter(path.parent.as_posix() for path in trees if path.name != "__init__.py")
    for folder, number in count.items():
        if number > MOST_FILES and folder not in LARGER:
            yield f"{folder}: {number} modules, at most {MOST_FILES}"


def cycles(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Tell one import cycle, if there is one; imports for type checkers and in functions count."""
    names = {module_name(path): tree for path, tree in trees.items() if path != PUBLIC}
    graph = {name: imported(tree, set(names)) - {name} for name, tree in names.items()}
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


def doubled_names(
    trees: dict[Path, ast.Module], *kinds: type[ast.ClassDef | ast.FunctionDef]
) -> Iterator[str]:
    """Tell names of classes, and of functions of a module, that stand in more than one module."""
    where: defaultdict[str, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, kinds) and (isinstance(node, ast.ClassDef) or node in tree.body):
                where[node.name].append(path.as_posix())
    for name, places in where.items():
        if len(places) > 1:
            yield f"{name} stands in {', '.join(places)}"


def long_programs(path: Path, tree: ast.Module) -> Iterator[str]:
    """Tell programs of more than ten lines in strings."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            lines = node.value.strip().count("\n") + 1
            if lines > LONGEST_PROGRAM and PROGRAM.search(node.value):
                where = f"{path}:{node.lineno}"
                yield f"{where}: a program of {lines} lines in a string, at most {LONGEST_PROGRAM}"


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


def dangling_names() -> Iterator[str]:
    """Tell dotted names of modules, and of what is in them, that do not exist."""
    old = set(re.findall(r'"(hil[\w.]+)"', (ROOT / OLD_NAMES).read_text("utf-8")))
    for path in naming_files():
        text = path.read_text("utf-8")
        named = [(found.start(), found[0]) for found in DOTTED.finditer(text)]
        for found in IMPORTED.finditer(text):
            names = re.findall(r"(\w+)(?: as \w+)?", re.sub(r"#.*", "", found[2]))
            named += [(found.start(), f"{found[1]}.{name}") for name in names]
        for at, name in named:
            if not (exists(name) or name in FILE_NAMES or {name, name.rpartition(".")[0]} & old):
                yield f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, at) + 1}: no {name}"


def naming_files() -> Iterator[Path]:
    """Yield the files that may name modules."""
    for path in [*ROOT.iterdir(), *(inner for folder in NAMING for inner in (ROOT / folder).rglob("*"))]:
        is_text = path.suffix in SUFFIXES and path.is_file() and not path.is_symlink()
        if is_text and path.name not in NAMING_OTHERS:
            yield path


def exists(name: str) -> bool:
    """Return True if a dotted name leads to a module, or to a module that has the next part in its text."""
    place = ROOT
    for part in name.split("."):
        if (place / part).is_dir():
            place /= part
        elif (place / f"{part}.py").is_file():
            place = place / f"{part}.py"
        else:
            source = place if place.suffix == ".py" else place / "__init__.py"
            return part in words_of(source)
    return True


@cache
def words_of(source: Path) -> frozenset[str]:
    """Return the words in a module; none if there is no such file."""
    return frozenset(re.findall(r"\w+", source.read_text("utf-8"))) if source.is_file() else frozenset()


if __name__ == "__main__":
    sys.exit(main())
