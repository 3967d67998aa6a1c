"""What each page takes for granted, and which of its command lines no test types, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from tests.no_hardware.pages.blocks import ROOT

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
        files: Other files of the project, by their paths.
        images: Images that no command line names.
        values: Texts of the page for the reader's own values, and those of this bench.
        before: Command lines that earlier pages told the reader to type.
        statuses: Exit statuses other than 0, by the beginning of a command line.
        joined: Whether all tests of the page are one file.
        options: Options of the run of the page's tests.
    """

    boards: int = 1
    lab: str = ""
    conftest: str = ""
    files: dict[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    statuses: dict[str, int] = field(default_factory=dict)
    joined: bool = False
    options: str = ""

    def status_of(self, line: str) -> int:
        """Return the exit status that a command line has on this page."""
        return next((status for begin, status in self.statuses.items() if line.startswith(begin)), 0)


_LOGIN = 'login = { user = "root", password = "hil" }'
_LEFT = f'[place.left]\nserial = "5a1c0e01"\n{_LOGIN}\n'
_JETSON = f'[place.jetson-1]\nserial = "5a1c0e01"\n{_LOGIN}\n'
_TEST_BOOT = {
    "tests/test_boot.py": r"""
def test_boot(measure, power, console):
    with measure.time("boot", below_s=60):
        power.cycle()
        console.expect(r"[\w ]{5,}")
""",
}
_NIGHT = "hil nightly run --simulated"
_WITH_IMAGE = Stage(images=("product.img",), options="--hil-image product.img")

STAGES: Final = {
    "README.md": Stage(boards=2),
    "docs/board-life.md": Stage(),
    "docs/command-line.md": Stage(
        lab=_JETSON, files={"provision.sh": "#!/bin/sh\n"}, values={"COMMAND": "true"}
    ),
    "docs/console.md": replace(
        _WITH_IMAGE,
        values={
            "echo c > /proc/sysrq-trigger": "echo Kernel panic - not syncing: provoked; reboot",
            "Rebooting in": "Linux version",
        },
    ),
    "docs/doctor.md": Stage(lab=_JETSON),
    "docs/every-board.md": Stage(boards=2, files=_TEST_BOOT),
    "docs/first-image.md": Stage(lab=_LEFT.replace("left", "rack-1")),
    "docs/flash.md": Stage(images=("image.img.xz",)),
    "docs/history.md": Stage(
        lab=_LEFT,
        files=_TEST_BOOT,
        before=(_NIGHT, "cp nightly/history.db other-host.db"),
        values={"test_boots": "test_boot", "FILE": "nightly/history.db"},
    ),
    "docs/images.md": replace(
        _WITH_IMAGE,
        images=("rack-v2.1.img", "rescue.img.xz"),
        files=_TEST_BOOT,
        values={"/etc/version": "/etc/image"},
        options="--hil-image rack-v2.1.img",
    ),
    "docs/lab-file.md": Stage(
        values={
            'stick = "/dev': '# "/dev',
            'console = "/dev': '# "/dev',
            "baud_rate": "# ",
            "secret": "hil",
            "Reached target": "login: ",
            'safe = "leave"': 'safe = "force-off"',
            "p1,aL,w5,aZ": "p1,w1",  # with pin A low this DUT says nothing that the wait lets through
            "6.1.0-ours": "6.1.0-hil",
        }
    ),
    "docs/nightly.md": Stage(
        files=_TEST_BOOT,
        statuses={"hil nightly run -- ": 0, "hil nightly run": 16},
    ),
    "docs/numbers.md": replace(
        _WITH_IMAGE,
        lab=_LEFT,
        files=_TEST_BOOT,
        before=(_NIGHT,),
        values={"/opt/download-rate": "echo 42.5"},
    ),
    "docs/power.md": Stage(values={"sleep(30)": "sleep(4)"}),
    "docs/report.md": Stage(
        files=_TEST_BOOT, before=(_NIGHT,), values={"2026-11-23T013000Z": "newest", "DIR": "kept"}
    ),
    "docs/second-repository.md": Stage(values={"../hil": str(ROOT)}),
    "docs/simulated-boards.md": Stage(files=_TEST_BOOT),
    "docs/skips.md": Stage(
        conftest="import pytest\n\n\n@pytest.fixture\ndef boot_log(console):\n    return console.transcript\n"
    ),
    "docs/two-boards.md": Stage(
        boards=2,
        lab=f'{_LEFT}tags = ["ethernet"]\n[place.right]\nserial = "5a1c0e02"\ntags = ["wifi"]\n{_LOGIN}\n',
        images=("product.img",),
        values={"hostname -I": "echo 10.0.0.2", "ping -c 3": "echo"},
        options="--hil-image product.img",
    ),
    "docs/writing-tests.md": Stage(boards=2, joined=True),
}
"""By the page's name; a page that is not here takes nothing for granted."""
