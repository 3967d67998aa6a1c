"""What udev itself makes of the rule: this machine's udev, and others unpacked below HIL_TEST_UDEV_ROOTS.

Each runs in a mount namespace of its own, with a group file of its own and no rule but ours. This machine
has no
board: the matches of one line are put on a device that every machine has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hil
from hil.lab.doctor.finding import CheckOutcome
from hil.lab.udev.rule import StickPlace, rule_text
from hil.lab.udev.safe_unit import has_systemd

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace is for root")

LIMIT_S = 60
OF_A_TTY = 'ATTRS{idVendor}=="2b23", ATTRS{idProduct}=="1012", GOTO="dutlink_tty"'
STICK = StickPlace("5a1c0e01", "2-1.3", "/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1.3")
OF_A_STICK = f'ATTR{{removable}}=="1", DEVPATH=="{STICK.path}/2-1.3:*"'


def _unpacked(root: Path) -> list[str]:
    """Return how a udevadm is started that was unpacked beside the libraries that it needs."""
    folders = [root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu"]
    folders += [folder / "systemd" for folder in (*folders, root / "usr/lib", root / "lib")]
    loader = next(one for folder in folders for one in sorted(folder.glob("ld-*.so*")))
    program = next(one for one in (root / "usr/bin/udevadm", root / "bin/udevadm") if one.exists())
    return [str(loader), "--library-path", ":".join(map(str, folders)), str(program)]


UDEVS = {root: _unpacked(Path(root)) for root in os.environ.get("HIL_TEST_UDEV_ROOTS", "").split(":") if root}
if found := shutil.which("udevadm"):
    UDEVS["this machine's"] = [found]


@pytest.fixture(params=UDEVS or [pytest.param("", marks=pytest.mark.skip(reason="udev is not installed"))])
def udevadm(request: pytest.FixtureRequest) -> list[str]:
    return UDEVS[request.param]


@pytest.fixture(params=["plugdev:x:46:", ""], ids=["plugdev", "no group"])
def groups(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A group file with plugdev, and one without it."""
    lines = [line for line in Path("/etc/group").read_text().splitlines() if not line.startswith("plugdev:")]
    file = tmp_path / "group"
    file.write_text("\n".join([*lines, request.param]) + "\n")
    return file


def in_a_machine_with(script: str, groups: Path, rule: str) -> str:
    """Run a script where these groups and no rule but this one are, and return what it says."""
    file = groups.parent / "60-dutlink.rules"
    file.write_text(rule)
    world = f"""\
mount --bind {groups} /etc/group
mkdir -p /run/udev && mount -t tmpfs none /run/udev && mkdir /run/udev/rules.d
cp {file} /run/udev/rules.d/
{script}"""
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", world],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    if "unshare failed" in run.stderr or "permission denied" in run.stderr:
        pytest.skip("this container makes no mount namespaces")
    return run.stdout + run.stderr


def tried_on(device: str, udevadm: list[str], groups: Path, rule: str) -> str:
    """Have udev try a rule on a device."""
    if not Path(device).exists():
        pytest.skip(f"this machine has no {device}")
    return in_a_machine_with(f"{' '.join(udevadm)} test --action=add {device} 2>&1", groups, rule)


def tags_in(said: str) -> str:
    return "".join(line for line in said.splitlines() if "TAGS=" in line)


def test_rule_opens_the_console_to_the_logged_in_user_and_excludes_modem_manager(
    udevadm: list[str], groups: Path
) -> None:
    rule = rule_text().replace(OF_A_TTY, 'KERNEL=="tty0", GOTO="dutlink_tty"')

    said = tried_on("/sys/class/tty/tty0", udevadm, groups, rule)

    assert ("ID_MM_DEVICE_IGNORE=1" in said, "uaccess" in tags_in(said)) == (True, True), said


def test_rule_makes_a_new_console_raw(udevadm: list[str], groups: Path) -> None:
    rule = rule_text().replace(OF_A_TTY, 'KERNEL=="tty0", GOTO="dutlink_tty"')

    said = tried_on("/sys/class/tty/tty0", udevadm, groups, rule)

    assert "/bin/stty -F /dev/tty0 raw -echo" in said, said


def test_rule_opens_the_stick_at_its_socket_and_excludes_udisks(udevadm: list[str], groups: Path) -> None:
    rule = rule_text([STICK]).replace(OF_A_STICK, 'DEVPATH=="/devices/virtual/block/loop0"')

    said = tried_on("/sys/block/loop0", udevadm, groups, rule)

    assert ("UDISKS_IGNORE=1" in said, "uaccess" in tags_in(said)) == (True, True), said


def test_rule_opens_no_disk_at_another_socket(udevadm: list[str], groups: Path) -> None:
    said = tried_on("/sys/block/loop0", udevadm, groups, rule_text([STICK]))

    assert ("UDISKS_IGNORE" in said, "uaccess" in tags_in(said)) == (False, False), said


def test_udev_rule_check_reports_a_group_that_udev_does_not_know(udevadm: list[str], groups: Path) -> None:
    doctor = """\
from pathlib import Path
from hil.lab.doctor.host_info import HostInfo
from hil.lab.doctor.checks.usb_access import rule_finding
made = rule_finding(HostInfo(), Path("/run/udev/rules.d/60-dutlink.rules"), "/sys/class/tty/tty0", "5a1c0e01")
print("FOUND", made.outcome, made.says)
"""
    program = groups.parent / "bin/udevadm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(udevadm)} "$@"\n')
    program.chmod(0o755)
    file = groups.parent / "doctor.py"
    file.write_text(doctor)
    rule = rule_text().replace(OF_A_TTY, 'KERNEL=="tty0", GOTO="dutlink_tty"')

    said = in_a_machine_with(f"PATH={program.parent}:$PATH {sys.executable} {file}", groups, rule)

    knows = "plugdev" in groups.read_text()
    outcome = CheckOutcome.OK if knows else CheckOutcome.PROBLEM
    assert f"FOUND {outcome}" in said, said
    assert ("udev knows no group plugdev" in said) is not knows, said


@pytest.mark.skipif(shutil.which("groupadd") is None, reason="groupadd is not installed")
def test_install_rule_makes_the_group(tmp_path: Path) -> None:
    groups = tmp_path / "group"
    groups.touch()
    script = f"""\
umount /etc/group; cp -a /etc {tmp_path}/etc && mount --bind {tmp_path}/etc /etc
sed -i /^plugdev:/d /etc/group /etc/gshadow
{sys.executable} -m hil.cli.main --json udev --install
grep ^plugdev: /etc/group"""

    said = in_a_machine_with(script, groups, rule_text())

    assert '"group": "plugdev, made now"' in said, said
    assert "\nplugdev:x:" in said, said


@pytest.mark.skipif(shutil.which("groupadd") is None, reason="groupadd is not installed")
@pytest.mark.skipif(not has_systemd(), reason="this machine has no systemd")
def test_install_rule_gives_the_unit_the_group_that_it_makes(tmp_path: Path) -> None:
    groups = tmp_path / "group"
    groups.touch()
    package = Path(hil.__file__).parent
    script = f"""\
umount /etc/group; cp -a /etc {tmp_path}/etc && mount --bind {tmp_path}/etc /etc
sed -i /^plugdev:/d /etc/group /etc/gshadow
cp -a {package} {tmp_path}/hil && chown -R nobody {tmp_path}/hil && mount --bind {tmp_path}/hil {package}
{sys.executable} -m hil.cli.main udev --install
cat /etc/systemd/system/hil-safe@.service"""

    said = in_a_machine_with(script, groups, rule_text())

    assert "\nSupplementaryGroups=plugdev\n" in said, said
