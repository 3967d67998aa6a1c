"""Writes a suite as the files that a user would have written."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import hil

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.laws.suite_plan import Fixture, Suite, Test

REPOSITORY = Path(hil.__file__).parents[1]
INNER = Path(__file__).with_name("inner")
FOLDERS = ("", "sub")
_INI = """[pytest]
addopts = --strict-markers
markers = asyncio: a test of pytest-asyncio
filterwarnings =
    ignore:Module already imported
    ignore:Unknown config option
asyncio_default_fixture_loop_scope = function
"""


def write_suite(suite: Suite, folder: Path) -> None:
    """Write conftests and modules below `folder`, with the root conftest at its top."""
    (folder / "conftest.py").write_text((REPOSITORY / "conftest.py").read_text(encoding="utf-8"))
    (folder / "pytest.ini").write_text(_INI)
    for name, text in suite_sources(suite).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def suite_sources(suite: Suite) -> dict[str, str]:
    """Return the suite's own files: their paths and their text."""
    sources: dict[str, str] = {}
    for part in FOLDERS:
        place = "suite/" + (f"{part}/" if part else "")
        fixtures = [fixture for fixture in suite.fixtures if fixture.folder == part]
        tests = [test for test in suite.tests if test.folder == part]
        sources[f"{place}__init__.py"] = ""
        if fixtures:
            sources[f"{place}conftest.py"] = _module(map(_fixture, fixtures))
        if tests:
            sources[f"{place}test_{part or 'top'}.py"] = _module(_tests(tests))
    return {name: text for name, text in sources.items() if text or not name.endswith("test_sub.py")}


def _module(parts: Iterable[str]) -> str:
    imports = (
        "import unittest\n\nimport pytest\nimport pytest_asyncio\n\nfrom laws_desk import body, fixture\n"
    )
    return "\n\n".join([imports, *parts]) + "\n"


def _fixture(fixture: Fixture) -> str:
    options = [f"scope={fixture.scope!r}"] if fixture.scope != "function" else []
    options += [f"params={list(range(fixture.params))}"] if fixture.params else []
    decorator = "pytest_asyncio.fixture" if fixture.is_async else "pytest.fixture"
    asked = "request" if fixture.dynamic else fixture.rests_on
    under = f'request.getfixturevalue("{fixture.rests_on}")' if fixture.dynamic else fixture.rests_on
    more = ", request" if fixture.params and not fixture.dynamic else ""
    call = f"fixture({fixture.name!r}, {under}, {fixture.setup}, {fixture.teardown})"
    if fixture.is_async:
        lines = f"async def {fixture.name}({asked}{more}):\n    for made in {call}:\n        yield made"
    else:
        lines = f"def {fixture.name}({asked}{more}):\n    yield from {call}"
    return f"@{decorator}({', '.join(options)})\n{lines}"


def _tests(tests: Iterable[Test]) -> Iterable[str]:
    """Yield functions, one class of all methods, and a class for each unittest."""
    tests = list(tests)
    yield from (_function(test) for test in tests if test.style in ("function", "async"))
    methods = [_function(test, method=True) for test in tests if test.style == "method"]
    if methods:
        yield "class TestTogether:\n" + textwrap.indent("\n\n".join(methods), "    ")
    yield from (_unittest(test) for test in tests if test.style == "unittest")


def _markers(test: Test) -> list[str]:
    marks = [f'@pytest.mark.parametrize("number", {list(range(test.params))})'] if test.params else []
    marks += ["@pytest.mark.asyncio"] if test.style == "async" else []
    name = "tag" if test.mistake == "argument" else "tags"
    arguments = [f"{name}={test.tags!r}"] if test.tags else []
    arguments += ["observes_only=True"] if test.observes_only and test.uses else []
    if test.mistake == "contradiction":
        marks.append("@pytest.mark.no_hardware")
    elif arguments or test.marked:
        marks.append(f"@pytest.mark.hardware({', '.join(arguments)})".replace("()", ""))
    return marks


def _function(test: Test, *, method: bool = False) -> str:
    names = [] if test.dynamic else list(test.uses)
    values = [f'request.getfixturevalue("{name}")' for name in test.uses] if test.dynamic else names
    arguments = [*(["self"] if method else []), "request", *names, *(["number"] if test.params else [])]
    call = ", ".join(["request.node.nodeid", repr(test.steps), *values])
    word = "async def" if test.style == "async" else "def"
    return "\n".join([*_markers(test), f"{word} {test.name}({', '.join(arguments)}):", f"    body({call})"])


def _unittest(test: Test) -> str:
    given = ", ".join(["self", "request", *test.uses])
    values = ", ".join(["request.node.nodeid", *test.uses])
    lines = [
        f"class Case_{test.name}(unittest.TestCase):",
        "    @pytest.fixture(autouse=True)",
        f"    def given({given}):",
        f"        self.given = ({values},)",
        "",
        *textwrap.indent("\n".join(_markers(test)), "    ").splitlines(),
        f"    def {test.name}(self):",
        f"        body(self.given[0], {test.steps!r}, *self.given[1:])",
    ]
    return "\n".join(lines)
