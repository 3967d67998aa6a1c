"""What lies at the top of the repository."""

from __future__ import annotations

import subprocess
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
