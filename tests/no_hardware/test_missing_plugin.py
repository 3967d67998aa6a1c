"""The hint where a repository's conftest.py lacks the line that gives it the fixtures of hil."""

from __future__ import annotations

import re
import sys

import pytest

from hil import missing_plugin

pytest_plugins = ["pytester"]

HINT = "hint: hil has a fixture '{}'; put pytest_plugins = [\"hil.plugin\"] into {}"


@pytest.fixture(autouse=True)
def short_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI, pytest's summary repeats each error whole, and with it the hint."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    options = ["-p", "hil.missing_plugin", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    return pytester.runpytest_subprocess(*options, *arguments)


@pytest.mark.parametrize("name", missing_plugin.FIXTURES)
def test_hint_names_the_line_and_its_file(pytester: pytest.Pytester, name: str) -> None:
    pytester.makepyfile(f"def test_it({name}): pass")

    result = run(pytester)

    assert HINT.format(name, pytester.path / "conftest.py") in result.stdout.str()


@pytest.mark.parametrize("option", ["--hil-boards=sim:1", "--hil-require"])
def test_option_without_the_plugin_names_the_line(pytester: pytest.Pytester, option: str) -> None:
    pytester.makepyfile("def test_it(): pass")

    result = run(pytester, option)

    line = f'pytest_plugins = ["hil.plugin"] into {pytester.path / "conftest.py"}'
    said = f"ERROR: {option.partition('=')[0]} is an option of hil; put {line}"
    assert (result.ret, said in result.stderr.str()) == (pytest.ExitCode.USAGE_ERROR, True)


@pytest.mark.parametrize("conftest", ['pytest_plugins = ["hil.plugin"]', "from hil.suite import plugin"])
def test_line_that_is_there_is_not_asked_for(pytester: pytest.Pytester, conftest: str) -> None:
    path = pytester.makeconftest(conftest)

    result = run(pytester, "--noconftest", "--hil-require")

    said = f"ERROR: --hil-require is an option of hil; pytest did not load {path}: *without --noconftest"
    result.stderr.fnmatch_lines([said])


def test_line_belongs_beside_the_tests_whatever_the_configuration_file(pytester: pytest.Pytester) -> None:
    result = run(pytester, "-c", "/dev/null", "--hil-require")

    result.stderr.fnmatch_lines([f"*into {pytester.path / 'conftest.py'}"])


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--hil-bords=none", "did you mean --hil-boards?"),
        ("--hil-xyzzy", "one of --hil-board, --hil-boards,*"),
    ],
)
def test_misspelt_option_is_told_with_the_nearest_one(
    option: str, told: str, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest('pytest_plugins = ["hil.plugin"]')

    result = run(pytester, "--hil-boards=none", option)

    what = f"ERROR: hil has no option {option.partition('=')[0]}"
    result.stderr.fnmatch_lines([what, f"  try: {told}"])


def test_hint_comes_from_an_xdist_worker_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(power): pass")

    result = run(pytester, "-n1")

    assert result.stdout.str().count("hint: hil has a fixture 'power'") == 1


def test_hint_is_in_the_junit_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(power): pass")

    run(pytester, "--junitxml=results.xml")

    assert "hint: hil has a fixture" in pytester.path.joinpath("results.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("def test_it(powr): pass", id="a fixture that hil does not have"),
        pytest.param("def test_it(): raise LookupError('power')", id="another error"),
    ],
)
def test_hint_is_left_out_for(pytester: pytest.Pytester, source: str) -> None:
    pytester.makepyfile(source)

    result = run(pytester)

    result.stdout.no_fnmatch_line("*hint: hil*")
    result.stdout.re_match_lines([r".*1 (error|failed) in"])


def test_fixtures_are_those_of_the_plugin(pytester: pytest.Pytester) -> None:
    result = run(pytester, "-p", "hil.plugin", "--fixtures")

    fixtures = re.findall(r"^(\w+) \[session scope\] -- .*hil/plugin\.py", result.stdout.str(), re.MULTILINE)
    assert sorted(fixtures) == sorted(missing_plugin.FIXTURES)


def test_hint_is_left_out_where_the_plugin_is_loaded(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["hil.plugin"]')
    pytester.makepyfile(
        "import pytest\n@pytest.fixture\ndef power(power): pass\ndef test_it(power, pins): pass"
    )

    result = run(pytester, "--hil-boards=none")

    result.stdout.no_fnmatch_line("*hint: hil*")


def test_importing_the_module_imports_nothing_but_the_names_of_hil(pytester: pytest.Pytester) -> None:
    code = "import hil.missing_plugin, sys; print(sorted(name for name in sys.modules if name[:3] == 'hil'))"

    result = pytester.run(sys.executable, "-c", code)

    names = ["hil", "hil.missing_plugin", "hil.old_paths", "hil.option_values", "hil.plain_imports"]
    assert result.outlines == [str(names)]


def test_modules_of_hil_are_not_rewritten_as_tests_are(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["hil.plugin"]')
    pytester.makepyfile("import hil.errors\ndef test_it(): print(type(hil.errors.__loader__).__name__)")

    result = run(pytester, "--hil-boards=none", "-s")

    result.stdout.fnmatch_lines(["*SourceFileLoader*"])
