"""What each page takes for granted, and which of its command lines no test types, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NOT_RUN", "NOT_TYPED", "STAGES", "Stage"]

NOT_RUN: Final = {
    "": "output, folders or a drawing, to be read",
    "json": "a format, which tests/no_hardware/sim and evidence hold",
    "yaml": "Jumpstarter's configuration: tests/jumpstarter",
}
"""Languages of blocks that are not run, and why."""

NOT_TYPED: Final = {
    r"(sudo|modprobe|usbip|echo .* sudo) ": "changes this machine as root; tests/kernel and tests of udev do",
    r"(python3 -m )?pip |python3 -m (pip|venv) ": "installs from a package index, as nox and CI do",
    r"nox\b": "makes an environment; test_readme.py knows the sessions, test_noxfile.py runs them",
    r"docker ": "needs a container engine",
    r"(jmp|kubectl) ": "needs Jumpstarter: tests/jumpstarter",
    r"hil nightly (install|status|uninstall)": "changes this user's timers: tests/no_hardware/nightly",
    r"pytest --hil-boards usb ": "uses the boards of this machine",
}
"""Command lines that are not typed, by how they begin, and why."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a page takes for granted.

    Attributes:
        boards: How many simulated boards are at the bench.
        lab: The lab file.
        conftest: Lines of the root conftest.py, after the one for the plugin.
        values: Texts of the page for the reader's own values, and those of this bench.
        before: Command lines that earlier pages told the reader to type.
        statuses: Exit statuses other than 0, by the beginning of a command line.
        left_out: Command lines that are not typed on this page alone, by how they begin, and why.
        options: Options of the run of the page's tests.
    """

    boards: int = 1
    lab: str = ""
    conftest: str = ""
    values: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    statuses: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    options: str = ""

    def leaves_out(self, line: str) -> bool:
        """Return whether no test types a command line."""
        return any(re.match(begin, line) for begin in (*NOT_TYPED, *self.left_out))

    def status_of(self, line: str) -> int:
        """Return the exit status that a command line has on this page."""
        return next((status for begin, status in self.statuses.items() if line.startswith(begin)), 0)


_PLACE = '[place.rack-1]\nserial = "5a1c0e01"\nlogin = { user = "root", password = "hil" }\n'

STAGES: Final = {
    "docs/first-image.md": Stage(lab=_PLACE),
}
"""By the page's name; a page that is not named here has the plain `Stage()`."""
