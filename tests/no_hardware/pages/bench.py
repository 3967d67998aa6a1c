"""A reader of a page, at a bench of simulated boards: writes files, types commands, runs tests."""

from __future__ import annotations

import bz2
import lzma
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from hil.sim.dut.image import build_image
from tests.no_hardware.pages.blocks import ROOT
from tests.no_hardware.pages.stages import NOT_TYPED
from tests.support.image_makers import BLOCK, bmap_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hil.sim.process import SimulatorProcess
    from tests.no_hardware.pages.blocks import Block
    from tests.no_hardware.pages.stages import Stage

__all__ = ["Reader", "write_images"]

PROGRAMS = {
    "hil": f'exec {sys.executable} -m hil.cli.main "$@"',
    "pytest": f'exec {sys.executable} -m pytest "$@"',
    "python3": f'exec {sys.executable} "$@"',
    "picocom": "test -c /dev/null && echo picocom",
}
UNTIL_CTRL_C = re.compile(r"hil (--json )?(console|boards --watch|sim --boards)\b")
CTRL_C_AFTER_S = 6
LIMIT_S = 240
_IMAGE = re.compile(r"[\w./-]+\.(?:img|wic)(?:\.(?:xz|bz2))?\b")
_COMPRESSORS = {".xz": lzma.compress, ".bz2": bz2.compress}


def write_images(folder: Path, names: Iterable[str]) -> None:
    """Write a bootable image for each name, in a folder that exists after that."""
    for name in names:
        path = folder / name
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        compress = _COMPRESSORS.get(path.suffix)
        build_image(path, path.name)
        if compress:
            path.write_bytes(compress(path.read_bytes()))


class Reader:
    """Does what a page says.

    Args:
        folder: An empty folder.
        simulator: The boards of the bench.
        stage: What the page takes for granted.
    """

    def __init__(self, folder: Path, simulator: SimulatorProcess, stage: Stage) -> None:
        self.project = folder / "project"
        self.stage = stage
        self._boards = f"sim@{simulator.management.port}"
        self._serials = simulator.serials()
        self._environ = self._environment(folder)
        (self.project / "tests").mkdir(parents=True)
        (self.project / "pyproject.toml").write_text('[project]\nname = "product"\nversion = "1"\n')
        (self.project / "conftest.py").write_text(f'pytest_plugins = ["hil.plugin"]\n{stage.conftest}')
        for name, text in stage.files.items():
            (self.project / name).write_text(text)
            (self.project / name).chmod(0o755)
        if stage.lab:
            self.write_lab(stage.lab)
        write_images(self.project, stage.images)

    def _environment(self, folder: Path) -> dict[str, str]:
        programs = folder / "bin"
        programs.mkdir()
        for name, line in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/sh\n{line}\n")
            (programs / name).chmod(0o755)
        ours = ("PYTEST_", "HIL_", "COV", "XDG_")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        return kept | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HIL_BOARDS": self._boards,
            "HIL_LOCK_DIR": str(folder / "locks"),
            "HOME": str(folder),
            "COLUMNS": "120",
        }

    def prepare(self) -> None:
        """Do what earlier pages told the reader to do."""
        for line in self.stage.before:
            ran = self.run(self.here(line))
            assert ran.returncode == 0, f"before: {line}\n{ran.stdout}"

    def run_tests(self) -> str:
        """Run the tests that the page has; return what was printed, which is empty if there are none."""
        if not any((self.project / "tests").iterdir()):
            return ""
        return self.run(f"pytest -p no:cacheprovider -ra tests {self.stage.options}").stdout

    def do(self, block: Block, number: int) -> None:
        """Do what a block says."""
        if block.is_test or (self.stage.joined and block.language == "python"):
            file = self.project / (
                block.file or f"tests/test_of_block_{0 if self.stage.joined else number}.py"
            )
            with file.open("a" if self.stage.joined else "w", encoding="utf-8") as tests:
                tests.write(f"{self.here(block.text)}\n\n")
        elif block.language == "python":
            self.succeed(f"python3 -c {_quoted(self.here(block.text))}", block)
        elif block.language == "toml":
            write_images(self.project, _IMAGE.findall(block.text))
            self.write_lab(block.text)
        elif block.language == "console":
            for line in block.commands():
                if not any(re.match(begin, line) for begin in NOT_TYPED):
                    self.type(line, block)

    def type(self, line: str, block: Block) -> None:
        """Type a command line of a page, with Ctrl-C where it would go on for ever."""
        line = self.here(re.sub(r"^hil enroll$", "hil enroll --yes", line.partition(" #")[0].rstrip()))
        if not line.startswith("hil read "):
            write_images(self.project, _IMAGE.findall(line))
        for image, blockmap in re.findall(r"(\S+) --bmap (\S+)", line):
            (self.project / blockmap).write_bytes(bmap_of(_chunks(self.project / image)))
        if UNTIL_CTRL_C.match(line):
            line = f"timeout --signal INT {CTRL_C_AFTER_S} {line}"
        self.succeed(line, block)

    def succeed(self, line: str, block: Block) -> None:
        """Run a command line, and fail if it fails."""
        ran = self.run(line)
        wanted = (0, 124, 130) if line.startswith("timeout ") else (self.stage.status_of(line),)
        assert ran.returncode in wanted, f"line {block.line}: {line}\n= {ran.returncode}\n{ran.stdout}"

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command line in the project; both its streams are in `stdout`."""
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.project,
            env=self._environ,
            check=False,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def write_lab(self, text: str) -> None:
        """Write the lab file; a text without a place continues the one that is there."""
        lab = self.project / "lab.toml"
        before = "" if "[place." in text else lab.read_text(encoding="utf-8")
        lab.write_text(before + self.here(text), encoding="utf-8")

    def here(self, text: str) -> str:
        """Return a text with this bench's serial numbers and port, and the reader's values."""
        text = text.replace("0df10035", self._serials[0])
        for old, new in zip(("5a1c0e01", "5a1c0e02"), self._serials, strict=False):
            text = text.replace(old, new)
        for old, new in self.stage.values.items():
            text = text.replace(old, new)
        return re.sub(r"\bsim@\d+", self._boards, text)


def _chunks(image: Path) -> list[bytes | None]:
    data = image.read_bytes()
    chunks = (data[start : start + BLOCK] for start in range(0, len(data), BLOCK))
    return [chunk if chunk.strip(b"\0") else None for chunk in chunks]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
