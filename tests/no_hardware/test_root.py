"""What lies at the top of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAME = {
    *(".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md"),
    *("conftest.py", "docs", "hil", "noxfile.py", "packaging", "pyproject.toml", "tests"),
}


def test_root_holds_the_frame_and_no_stray_file() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout, so what is tracked cannot be told")

    assert {path.partition("/")[0] for path in listed.stdout.splitlines()} <= FRAME


def test_pytest_without_the_packages_of_its_tests_names_nox_once(tmp_path: Path) -> None:
    missing = 'raise ModuleNotFoundError("No module named hypothesis", name="hypothesis")\n'
    tmp_path.joinpath("hypothesis.py").write_text(missing, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:hypothesispytest", "tests/no_hardware"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    errors = [line for line in ran.stdout.splitlines() if line.startswith(("E ", "ERROR ", "tests/"))]
    assert ran.returncode == pytest.ExitCode.INTERRUPTED
    assert len(errors) == 2, ran.stdout
    assert "type nox" in errors[0]
