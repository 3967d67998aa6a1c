"""`hil init`: a repository of tests that runs as it stands, and in which nothing is written over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hil.cli.main import run
from hil.distribution import NAME

ROOT = Path(__file__).parents[4]
FILES = ["conftest.py", "pytest.ini", "tests/test_first.py", "noxfile.py"]
COPY_SESSIONS = "type hil init in an empty folder, and copy from its noxfile.py."
CI = {
    "github": [".github/workflows/hil.yml", ".github/workflows/nightly.yml"],
    "gitlab": [".gitlab-ci.yml", "nightly.gitlab-ci.yml"],
}


def test_init_writes_a_repository_whose_test_passes_on_a_simulated_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["init", str(tmp_path / "product")])

    said = capsys.readouterr().out
    assert (status, [name for name in FILES if not (tmp_path / "product" / name).is_file()]) == (0, [])
    assert said.splitlines()[-1] == f"Next: cd {tmp_path / 'product'} && pytest --hil-boards sim:1"
    (tmp_path / "product" / "evidence").mkdir()
    ran = pytest_in(tmp_path / "product", "evidence", "tests", "--hil-boards=sim:1", "-v")
    assert "tests/test_first.py::test_dut_wakes_up PASSED" in ran, ran


def test_init_writes_a_test_that_fails_on_a_dut_that_draws_more(tmp_path: Path) -> None:
    run(["init", str(tmp_path)])
    first = tmp_path / "tests" / "test_first.py"
    first.write_text(first.read_text().replace("(10.0)", "(0.1)"))

    ran = pytest_in(tmp_path, "tests", "--hil-boards=sim:1")

    assert "1 failed" in ran, ran


def test_init_changes_no_file_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "conftest.py").write_text("# mine\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")

    run(["--json", "init", str(tmp_path)])

    answer = json.loads(capsys.readouterr().out)
    assert answer["kept"] == {
        "conftest.py": "it exists already",
        "pytest.ini": "pyproject.toml has pytest's settings",
    }
    assert (tmp_path / "conftest.py").read_text() == "# mine\n"
    assert not (tmp_path / "pytest.ini").exists()


def test_init_leaves_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").symlink_to("not_yet.py")

    status = run(["init", str(tmp_path)])

    assert (status, (tmp_path / "not_yet.py").exists()) == (0, False)


def test_init_of_a_folder_and_a_command_at_once_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["init", "pytest", "--", "-x"])

    assert (status, "try: hil init -- pytest -x" in capsys.readouterr().err) == (2, True)


def test_init_writes_no_first_test_beside_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test_mine.py").write_text("def test_mine(power): power.force_off()\n")

    status = run(["--json", "init", str(tmp_path)])

    answer = json.loads(capsys.readouterr().out)
    assert (status, answer["kept"]) == (
        0,
        {"tests/test_first.py": "there are tests already, such as test/test_mine.py"},
    )
    assert "1 passed" in pytest_in(tmp_path, "--hil-boards=sim:1"), (
        "pytest.ini hides the tests that are there"
    )


def test_init_takes_tests_of_installed_packages_for_none_of_the_repository(tmp_path: Path) -> None:
    for folder in (".nox/sim/lib", "venv/lib", "node_modules/x"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "test_theirs.py").touch()

    run(["init", str(tmp_path)])

    assert (tmp_path / "tests" / "test_first.py").is_file()


def test_init_says_what_the_files_that_are_there_lack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("conftest.py", "import os\n"), (".gitignore", "/report/\n__pycache__/\n/.venv/\n")):
        (tmp_path / name).write_text(text)
    for name in ("noxfile.py", ".gitlab-ci.yml"):
        (tmp_path / name).write_text("")

    run(["init", "--ci", "gitlab", str(tmp_path)])

    to_do = [line for line in capsys.readouterr().out.splitlines() if " lacks " in line or "Add to" in line]
    assert to_do == [
        f"Add to {tmp_path}/.gitignore: /.nox/ /night/ /nightly/, each on a line of its own.",
        f'Add to {tmp_path}/conftest.py: pytest_plugins = ["hil.plugin"]',
        f"{tmp_path}/noxfile.py lacks sim and nightly, which the CI files run: {COPY_SESSIONS}",
        f"Add to {tmp_path}/.gitlab-ci.yml: include: nightly.gitlab-ci.yml",
    ]


def test_init_repeated_has_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["init", "--ci", "github", str(tmp_path)])
    capsys.readouterr()

    run(["--json", "init", "--ci", "github", str(tmp_path)])

    answer = json.loads(capsys.readouterr().out)
    assert (answer["written"], answer["to_do"]) == ([], [])


@pytest.mark.parametrize("ci", CI)
def test_init_writes_the_ci_that_it_is_asked_for(tmp_path: Path, ci: str) -> None:
    run(["init", str(tmp_path / "plain")])
    run(["init", "--ci", ci, str(tmp_path / ci)])

    plain, with_ci = (
        {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "plain", tmp_path / ci)
    )
    assert with_ci - plain == set(CI[ci])


def test_init_quotes_a_folder_in_the_command_to_type_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    run(["init", "my product"])

    assert "Next: cd 'my product' && pytest" in capsys.readouterr().out


def test_init_names_the_file_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tests").touch()

    status = run(["init", str(tmp_path)])

    said = capsys.readouterr().err
    assert (status, f"{tmp_path}/tests/test_first.py cannot be written" in said) == (2, True)


def test_init_with_ci_and_a_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["init", "--ci", "github", "--", "pytest", "-k", "a or b"])

    assert (status, "try: hil init -- pytest -k 'a or b'" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize("name", ["pyproject.toml", "tox.ini", "setup.cfg"])
def test_init_beside_settings_that_cannot_be_read_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("no settings\n")

    status = run(["init", str(tmp_path)])

    assert (status, f"{name} cannot be read" in capsys.readouterr().err) == (2, True)
    assert [each.name for each in tmp_path.iterdir()] == [name]


ORIGINS = [
    (None, f"{NAME}==1.2"),
    ({"url": "file:///home/a%20b/hil", "dir_info": {"editable": True}}, "/home/a b/hil"),
    ({"url": "https://x/h.whl", "archive_info": {}}, f"{NAME} @ https://x/h.whl"),
    (
        {"url": "https://x/h.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}},
        f"{NAME} @ git+https://x/h.git@ab12",
    ),
]


@pytest.mark.parametrize(("origin", "wanted"), ORIGINS)
def test_init_writes_what_pip_installs_hil_from(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    origin: object,
    wanted: str,
) -> None:
    told = None if origin is None else json.dumps(origin)
    here = SimpleNamespace(version="1.2", read_text=lambda _name: told)
    monkeypatch.setattr("hil.distribution.installed", lambda: here)

    run(["init", str(tmp_path)])

    assert f'HIL = "{wanted}"' in (tmp_path / "noxfile.py").read_text()
    assert ("is only on this machine" in capsys.readouterr().out) == wanted.startswith("/")


@pytest.mark.parametrize(
    "copied",
    [ROOT / "hil" / "plugin.py", Path(__file__).with_name("copied_conftest.py")],
    ids=["now", "0.1"],
)
def test_copied_conftest_of_before_goes_on_working(tmp_path: Path, copied: Path) -> None:
    (tmp_path / "conftest.py").write_text(copied.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_it.py").write_text("def test_it(power): assert power.read().amps < 9\n")

    assert "1 passed" in pytest_in(tmp_path, "--hil-boards=sim:1")


def pytest_in(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    environment["PYTHONPATH"] = str(ROOT)
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    return ran.stdout + ran.stderr
