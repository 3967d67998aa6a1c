"""Start a run of the suite on the boards of a lab, in its own folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import hil
from tests.jumpstarter.exporters import LIMIT_S, wait_for

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LabRun"]

REPOSITORY = Path(hil.__file__).parents[1]
CASES = Path(__file__).parent / "inner"
INI = "[pytest]\naddopts = -p no:cacheprovider -ra --strict-markers\ntimeout = 120\n"


@dataclass
class LabRun:
    """A running run; a `with` block waits for its end, or kills it if the block fails.

    Args:
        folder: Folder of the run.
        boards: The value of `--hil-boards`; None: the option is left out.
        options: More options of pytest.
        environment: More variables.
        before: Command before `python -m pytest`, such as `jmp shell`.
        cases: File of `inner` with the tests to run.
    """

    folder: Path
    boards: str | None
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    cases: str = "case_boards.py"

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.signs = self.folder / "signs"
        self.signs.mkdir()
        shutil.copy(REPOSITORY / "conftest.py", self.folder)
        shutil.copy(CASES / self.cases, self.folder / "test_boards.py")
        (self.folder / "pytest.ini").write_text(INI, encoding="utf-8")
        self._output = self.folder / "output"
        where = ("--hil-boards", self.boards) if self.boards else ()
        command = [*self.before, sys.executable, "-m", "pytest", *where, "--hil-lab", "none"]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [*command, *self.options],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env=os.environ | {"HIL_TEST_SIGNS": str(self.signs)} | self.environment,
            )

    @property
    def text(self) -> str:
        """The output so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def wait_for_sign(self, name: str) -> str:
        """Wait until a test writes the file `signs/NAME`; return its contents."""
        sign = self.signs / name
        wait_for(f"sign {name} of {self.folder.name}", lambda: self._is_there(sign))
        return sign.read_text()

    def wait_for_text(self, text: str) -> None:
        """Wait until the run prints `text`."""
        wait_for(f"{text!r} of {self.folder.name}", lambda: text in self.text)

    def _is_there(self, sign: Path) -> bool:
        if self.process.poll() is not None and not sign.exists():
            raise ChildProcessError(self.text)
        return sign.exists()

    def give_sign(self, name: str) -> None:
        """Write the file `signs/NAME` that a test waits for."""
        (self.signs / name).touch()

    def result(self, limit_s: float = 2 * LIMIT_S) -> str:
        """Wait for the end of the run; return its output."""
        self.process.wait(timeout=limit_s)
        return self.text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None and kind is not None:
            self.process.kill()
            print(self.text)  # noqa: T201 - why a test failed
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=LIMIT_S)
