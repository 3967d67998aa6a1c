"""A value after a space, as in `--hil-image ../rack.img`, is no path of tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hil.option_values import OPTIONS

pytest_plugins = ["pytester"]

LINE = 'pytest_plugins = ["hil.plugin"]'
CLONE = Path(__file__).parents[2]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder of its own, beside a folder that is none of its tests."""
    folder = pytester.mkdir("project")
    folder.joinpath("pytest.ini").write_text("[pytest]\naddopts = -p no:asyncio -p no:cacheprovider\n")
    folder.joinpath("conftest.py").write_text(LINE)
    folder.joinpath("test_it.py").write_text("def test_it(request): print(request.node.nodeid, 'ran')")
    other = pytester.mkdir("other")
    other.joinpath("conftest.py").write_text("raise RuntimeError('loaded')")
    other.joinpath("rack.img").write_bytes(bytes(512))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HIL_BOARDS", "none")
    return folder


def run(pytester: pytest.Pytester, *arguments: str) -> tuple[int, str]:
    result = pytester.runpytest_subprocess("-p", "hil.missing_plugin", "-s", *arguments)
    return int(result.ret), result.stdout.str() + result.stderr.str()


def test_options_are_those_that_take_a_value(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig("-p", "hil.plugin")

    actions = config._parser.optparser._actions
    taking = [name for action in actions if action.nargs is None for name in action.option_strings]
    assert [name for name in taking if name.startswith("--hil-")] == list(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_folder_in_the_project_is_no_path_of_tests(
    pytester: pytest.Pytester, project: Path, option: str
) -> None:
    shutil.copytree(project.parent / "other", project / "none")

    _, said = run(pytester, "test_it.py", option, "none")

    assert "RuntimeError" not in said
    assert "unrecognized" not in said
    assert " is an option of hil" not in said


@pytest.mark.parametrize("tests", [[], ["test_it.py"], ["."]])
def test_value_that_changes_nothing_is_taken(
    pytester: pytest.Pytester, project: Path, tests: list[str]
) -> None:
    project.joinpath("report").mkdir()

    status, said = run(pytester, "--hil-report", "report", *tests)

    assert (status, "test_it.py::test_it ran" in said) == (0, True)


@pytest.mark.parametrize("value", ["../other/rack.img", "/dev/null", "/proc/self/fd"])
@pytest.mark.parametrize("plugin", [[], ["-p", "hil.plugin"]])
def test_value_that_hides_the_project_is_refused(
    pytester: pytest.Pytester, project: Path, plugin: list[str], value: str
) -> None:
    assert project.is_dir()

    status, said = run(pytester, *plugin, "--hil-image", value)

    assert status == pytest.ExitCode.USAGE_ERROR
    assert said.startswith(f"ERROR: pytest takes {value} for a path of tests")
    assert said.rstrip().endswith(f"write --hil-image={value}")


def test_value_after_an_equals_sign_is_taken(pytester: pytest.Pytester, project: Path) -> None:
    project.parent.joinpath("report").mkdir()

    status, said = run(pytester, "--hil-report=../report")

    assert (status, "test_it.py::test_it ran" in said) == (0, True)


def test_value_among_the_options_of_the_configuration_file_is_taken(
    pytester: pytest.Pytester, project: Path
) -> None:
    project.parent.joinpath("report").mkdir()
    with project.joinpath("pytest.ini").open("a") as file:
        file.write("    --hil-report ../report\n")

    status, said = run(pytester)

    assert (status, "test_it.py::test_it ran" in said) == (0, True)


def test_value_in_the_environment_is_refused_where_it_hides_the_project(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.is_dir()
    monkeypatch.setenv("PYTEST_ADDOPTS", "--hil-lab ../other/rack.img")

    status, said = run(pytester)

    assert (status, "write --hil-lab=../other/rack.img" in said) == (pytest.ExitCode.USAGE_ERROR, True)


def test_project_is_found_from_another_folder(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    project.parent.joinpath("report").mkdir()

    status, said = run(pytester, "project", "--hil-report", "report")

    assert (status, "test_it.py::test_it ran" in said) == (0, True)


def test_copied_conftest_takes_the_value(pytester: pytest.Pytester, project: Path) -> None:
    shutil.copy(CLONE / "conftest.py", project)
    shutil.copytree(project.parent / "other", project / "none")

    status, said = run(pytester, "test_it.py", "--hil-boards", "none")

    assert (status, "test_it ran" in said) == (0, True)


def test_option_without_a_value_stays_an_error_of_pytest(pytester: pytest.Pytester, project: Path) -> None:
    assert project.is_dir()

    status, said = run(pytester, "--hil-report", "--hil-require")

    assert (status, "expected one argument" in said) == (pytest.ExitCode.USAGE_ERROR, True)


def test_workers_take_the_value(pytester: pytest.Pytester, project: Path) -> None:
    project.joinpath("report").mkdir()

    status, said = run(pytester, "-n", "1", "--hil-report", "report")

    assert (status, "1 passed" in said) == (0, True)
