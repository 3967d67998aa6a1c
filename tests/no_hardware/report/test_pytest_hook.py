"""The pages at the end of a run with `--hil-report`, whatever happened to the run or the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hil

pytestmark = pytest.mark.thorough  # runs of the suite
REPOSITORY = Path(hil.__file__).parents[1]
TESTS = """
def test_passes(): pass
def test_fails(): assert 1 == 2, "one is not two"
"""


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_bytes((REPOSITORY / "conftest.py").read_bytes())
    (folder / "test_inner.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "--hil-lab=none"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HIL_", "GITHUB_"))}
    return subprocess.run(
        [*command, "--hil-report=report", *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(REPOSITORY), **environ},
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_report_plugin_prints_the_path_of_the_page(tmp_path: Path, workers: str) -> None:
    ran = run(tmp_path, "-n", workers)

    assert f"hil: report: {tmp_path / 'report' / 'index.html'}" in ran.stdout
    assert "1 of 2 tests needs a look" in (tmp_path / "report" / "index.html").read_text()
    assert (tmp_path / "report" / "junit.xml").is_file()


def test_report_plugin_appends_to_the_step_summary_on_github(tmp_path: Path) -> None:
    step = tmp_path / "step.md"
    step.write_text("before\n")

    run(tmp_path, GITHUB_STEP_SUMMARY=str(step))

    assert step.read_text().startswith("before\n## hil: 1 of 2 tests needs a look")


def test_report_plugin_reports_a_step_summary_that_cannot_be_written(tmp_path: Path) -> None:
    ran = run(tmp_path, "-k", "passes", GITHUB_STEP_SUMMARY=str(tmp_path))

    assert (ran.returncode, "NO REPORT: its pages cannot be written" in ran.stdout) == (0, True)


FULL_DISK = """
import errno, hil.report.pages

def write_below(*_arguments, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")

hil.report.pages.write_below = write_below
"""


def test_report_plugin_reports_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "full_disk.py").write_text(FULL_DISK)

    ran = run(tmp_path, "-p", "full_disk", "-k", "passes", PYTHONPATH=f"{REPOSITORY}:{tmp_path}")

    assert (ran.returncode, "No space left on device" in ran.stdout) == (0, True)


def test_pytest_hook_does_nothing_without_the_option(tmp_path: Path) -> None:
    ran = run(tmp_path, "--hil-report=")

    assert ("report" in ran.stdout, (tmp_path / "report").exists()) == (False, False)
