"""A second repository: the wheel, a copy of conftest.py, and a test of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytest.importorskip("hatchling", reason="builds the wheel; the nox sessions install it")


@dataclass(frozen=True)
class SecondRepository:
    """A folder with conftest.py and tests, and an environment in which the wheel is installed."""

    folder: Path
    python: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HIL_"))
        }
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=environment,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("dutlink_hil-*.whl")
    return built


@pytest.fixture(scope="module")
def second_repository(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> SecondRepository:
    """Its environment sees the packages of ours (not our editable `hil`), so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("second")
    environment = folder / "venv"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)  # as pip does with a wheel of Python alone
    packages.joinpath("outer.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    shutil.copy(ROOT / "conftest.py", folder)
    folder.joinpath("pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers --strict-config\ntestpaths = tests\n",
        encoding="utf-8",
    )
    folder.joinpath("tests").mkdir()
    return SecondRepository(folder, python)


def documented_test() -> str:
    """The example of docs/second-repository.md."""
    page = ROOT.joinpath("docs", "second-repository.md").read_text(encoding="utf-8")
    block = page.partition("```python\n   from time")[2].partition("```")[0]
    block = f"   from time{block}"
    return "\n".join(line.removeprefix("   ") for line in block.splitlines()) + "\n"


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folders = {name.split("/")[0].split("-")[0] for name in archive.namelist()}

    assert folders == {"hil", "dutlink_hil"}, "the package, and what pip knows of it"


def test_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert "hil/py.typed" in names


def test_a_second_repository_imports_the_installed_wheel(second_repository: SecondRepository) -> None:
    ran = second_repository.run("-c", "import hil; print(hil.__file__)")

    assert Path(ran.stdout.strip()).is_relative_to(second_repository.folder)


def test_a_second_repository_runs_its_test_on_a_simulated_board(second_repository: SecondRepository) -> None:
    second_repository.folder.joinpath("tests", "test_boot.py").write_text(documented_test(), encoding="utf-8")

    ran = second_repository.run(
        "-m", "pytest", "-p", "no:cacheprovider", "--hil-boards", "sim:1", "tests/test_boot.py"
    )

    assert "1 passed" in ran.stdout, ran.stdout


def test_a_second_repository_s_test_fails_on_a_dut_that_stays_on(second_repository: SecondRepository) -> None:
    stays_on = documented_test().replace("power.force_off()", "pass")
    second_repository.folder.joinpath("tests", "test_boot.py").write_text(stays_on, encoding="utf-8")

    ran = second_repository.run(
        "-m", "pytest", "-p", "no:cacheprovider", "--hil-boards", "sim:1", "tests/test_boot.py"
    )

    assert "1 failed" in ran.stdout, ran.stdout
    assert "amps < 0.1" in ran.stdout


@pytest.mark.thorough
def test_a_second_repository_tells_why_its_test_was_skipped(second_repository: SecondRepository) -> None:
    second_repository.folder.joinpath("tests", "test_power.py").write_text(
        "def test_the_supply_can_be_cut(power):\n    power.force_off()\n", encoding="utf-8"
    )

    ran = second_repository.run(
        "-m", "pytest", "-p", "no:cacheprovider", "-rs", "--hil-boards", "none", "tests/test_power.py"
    )

    assert "NO HARDWARE TEST RAN" in ran.stdout, ran.stdout


def test_a_second_repository_without_the_line_in_its_conftest_is_told_it(
    second_repository: SecondRepository,
) -> None:
    second_repository.folder.joinpath("tests", "test_hint.py").write_text(
        "def test_the_supply_can_be_cut(power):\n    power.force_off()\n", encoding="utf-8"
    )

    second_repository.folder.joinpath("conftest.py").write_text("", encoding="utf-8")
    ran = second_repository.run("-m", "pytest", "-p", "no:cacheprovider", "tests/test_hint.py")

    assert ran.stdout.count('pytest_plugins = ["hil.plugin"]') == 1, ran.stdout
