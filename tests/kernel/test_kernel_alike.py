"""Boards and sticks that call themselves alike, and the rule that opens a stick, on Linux' own USB stack."""

from __future__ import annotations

import json
import os
import pwd
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.timing import until
from hil.lab.udev.rule import RULE_NAME
from tests.kernel.attached import ATTACH_LIMIT_S, usb_folder
from tests.kernel.desk import INSIDER, apply_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.attached import Bench

pytestmark = pytest.mark.timeout(900)  # sticks come many times, ten seconds each

MIB = 1 << 20
LIMIT_S = 400
ALIKE = "0123456789AB"


def hil(
    *arguments: str, folder: Path, user: str = "", environ: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `hil`, as another user if one is named, with a lock folder that both use."""
    entry = pwd.getpwnam(user) if user else None
    become = (
        ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups"] if entry else []
    )
    env = {**os.environ, "HIL_LAB": "none", "HOME": str(folder), **(environ or {})}
    command = [*become, sys.executable, "-m", "hil.cli.main", "--json", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True)


def answer(process: subprocess.Popen[str], status: int = 0) -> Any:
    said, complaint = process.communicate(timeout=LIMIT_S)
    assert process.returncode == status, complaint
    return json.loads(said)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user may use."""
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o777 if path == tmp_path else 0o755)
    return tmp_path


def image(folder: Path, name: str) -> Path:
    content = bytearray(random.Random(name).randbytes(2 * MIB))  # noqa: S311 - no secret
    content[510:512] = b"\x55\xaa"
    file = folder / f"{name}.img"
    file.write_bytes(content)
    return file


@pytest.fixture
def rules(users: None) -> Iterator[Path]:  # noqa: ARG001 - asked for first
    """The folder of the machine's rules, which are as before afterwards."""
    there = Path("/etc/udev/rules.d") / RULE_NAME
    yield there
    there.unlink(missing_ok=True)
    apply_rules()


def test_flash_needs_no_group_disk_after_the_set_up(
    bench: Bench, serial: str, rules: Path, folder: Path
) -> None:
    uid = str(pwd.getpwnam(INSIDER).pw_uid)
    answer(hil("udev", "--install", folder=folder))
    bench.replug(serial)
    answer(hil("storage", "learn", "--board", serial, "--force", folder=folder, user=INSIDER))

    installed = answer(hil("udev", "--install", folder=folder, environ={"SUDO_UID": uid}))
    flashed = answer(
        hil("flash", str(image(folder, "a")), "--board", serial, "--force", folder=folder, user=INSIDER)
    )

    assert serial in installed["sticks"], rules.read_text()
    assert flashed["board"] == serial


def test_the_rule_opens_no_other_disk(bench: Bench, serial: str, rules: Path, folder: Path) -> None:
    answer(hil("storage", "learn", "--board", serial, "--force", folder=folder))
    answer(hil("udev", "--install", folder=folder))
    bench.management.plug_disk("hers", socket="2-100", serial="HERS", size_bytes=8 * MIB)
    by_id = Path("/dev/disk/by-id")
    hers = until(lambda: next(by_id.glob("usb-*HERS*:0"), None), ATTACH_LIMIT_S)
    subprocess.run(["udevadm", "settle", "--timeout=30"], check=True)

    group = hers.group()

    bench.management.unplug_disk("hers")
    assert 'GOTO="dutlink_stick"' in rules.read_text()
    assert group == "disk"


def test_the_doctor_says_what_udev_makes_of_the_rule(
    bench: Bench, serial: str, rules: Path, folder: Path
) -> None:
    answer(hil("udev", "--install", folder=folder))
    bench.replug(serial)

    said, _ = hil("doctor", "--quick", "--board", serial, folder=folder).communicate(timeout=LIMIT_S)

    (found,) = [one for one in json.loads(said)["findings"] if one["check"] == "udev rule"]
    assert (found["outcome"], found["says"]) == ("ok", f"udev applies {rules}")


@pytest.mark.parametrize("model", [{"told": ALIKE}, {"told": "", "empty_slots": 2}], ids=str)
def test_two_boards_flash_at_the_same_time_with_sticks_that_are_alike(
    bench: Bench, boards: tuple[str, ...], folder: Path, model: dict[str, Any]
) -> None:
    for serial in boards:
        bench.management.fault(serial, "stick_model", **model)

    started = [
        hil("flash", str(image(folder, serial)), "--board", serial, "--force", folder=folder)
        for serial in boards
    ]
    flashed = [answer(process) for process in started]

    back = [folder / f"{serial}.back" for serial in boards]
    for serial, file in zip(boards, back, strict=True):
        answer(hil("read", str(file), "--size", "2M", "--board", serial, folder=folder))
    assert [one["board"] for one in flashed] == list(boards)
    assert [file.read_bytes() for file in back] == [image(folder, serial).read_bytes() for serial in boards]


def test_two_boards_with_one_serial_number_are_told_and_not_used(
    bench: Bench, boards: tuple[str, ...], folder: Path
) -> None:
    one, other = boards
    bench.management.fault(other, "serial", told=one)
    assert until(lambda: len(_at(one)) == 2, ATTACH_LIMIT_S)

    listed = answer(hil("boards", folder=folder))
    safe = answer(hil("safe", "--all", folder=folder), status=1)

    assert [row["state"] for row in listed] == ["faulty", "faulty"]
    assert [row["outcome"] for row in safe if row["board"] == one] == ["faulty", "faulty"]
    assert usb_folder(one) is not None


def _at(serial: str) -> list[Path]:
    """The USB devices that tell this serial number."""
    found = []
    for file in Path("/sys/bus/usb/devices").glob("*/serial"):
        try:
            found += [file] if file.read_text("ascii").strip() == serial else []
        except OSError:  # it has just left
            continue
    return found
