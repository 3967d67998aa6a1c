"""`hil doctor` on a real kernel: each problem is planted for real, found, and what mends it mends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.lab.locks.acquire import acquire
from tests.kernel.attached import tty_node
from tests.kernel.desk import INSIDER, OUTSIDER
from tests.kernel.test_kernel_problems import SYSTEM_LIBUSB, grabbed, hidden, packaged_libusb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.kernel.attached import Bench


def examined(
    folder: Path,
    *options: str,
    prefix: Sequence[str] = (),
    user: str = "",
    **variables: str,
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit status, and the findings by check."""
    as_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
    command = [*prefix, *as_user, sys.executable, "-m", "hil.cli.main", "--json", "doctor", *options]
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "HIL_LAB": "none", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert ran.returncode in {0, 1}, ran.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(ran.stdout)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return ran.returncode, found


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users reach: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="hil-doctor-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


def problems(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {
        check: finding
        for check, findings in found.items()
        for finding in findings
        if finding["outcome"] == "problem"
    }


@pytest.mark.usefixtures("rule", "boards")
def test_a_healthy_bench_is_well(tmp_path: Path) -> None:
    status, found = examined(tmp_path)

    assert (status, problems(found)) == (0, {})
    assert {finding["outcome"] for finding in found["stick"]} == {"ok"}
    assert {finding["outcome"] for finding in found["hub power"]} == {"ok"}


@pytest.mark.usefixtures("users", "boards")
def test_without_the_rule_it_is_named_and_a_user_may_not_open_boards(shared: Path) -> None:
    status, found = examined(shared, "--quick", user=OUTSIDER, HIL_LOCK_DIR="")

    assert (status, {"udev rule", "permission"} <= problems(found).keys()) == (1, True), found
    assert "udev --install" in problems(found)["udev rule"]["remedy"]


@pytest.mark.usefixtures("own_machine", "boards")
def test_the_command_that_it_names_installs_the_rule(tmp_path: Path) -> None:
    rule = Path("/etc/udev/rules.d/60-dutlink.rules")
    try:
        subprocess.run([sys.executable, "-m", "hil.cli.main", "udev", "--install"], check=True, timeout=60)
        _, found = examined(tmp_path, "--quick")
    finally:
        rule.unlink(missing_ok=True)
        subprocess.run(["udevadm", "control", "--reload"], check=True, timeout=60)

    assert "udev rule" not in problems(found)


@pytest.mark.usefixtures("rule", "boards")
def test_who_is_not_in_the_group_is_told_how_to_join_it(shared: Path) -> None:
    status, found = examined(shared, "--quick", user=OUTSIDER, HIL_LOCK_DIR="")

    assert (
        status,
        f"usermod --append --groups plugdev {OUTSIDER}" in problems(found)["group"]["remedy"],
    ) == (
        1,
        True,
    )


@pytest.mark.usefixtures("rule", "boards")
def test_who_is_in_the_group_is_well(shared: Path) -> None:
    _, found = examined(shared, "--quick", user=INSIDER, HIL_LOCK_DIR="")

    assert problems(found) == {}


@pytest.mark.usefixtures("own_machine", "boards")
def test_without_any_libusb_it_says_what_to_install(tmp_path: Path) -> None:
    prefix = hidden(SYSTEM_LIBUSB, packaged_libusb())
    status, found = examined(tmp_path, "--quick", prefix=prefix)

    assert (status, "apt install libusb-1.0-0" in problems(found)["libusb"]["remedy"]) == (1, True)


def test_a_program_that_has_the_console_open_is_named(boards: tuple[str, ...], tmp_path: Path) -> None:
    with grabbed(tty_node(boards[0]), exclusively=False):
        status, found = examined(tmp_path, "--quick")

    taken = problems(found)["console is free"]
    assert (status, taken["board"]) == (1, boards[0])
    assert str(os.getpid()) in taken["remedy"]


def test_a_board_in_its_boot_loader_is_told(bench: Bench, boards: tuple[str, ...], tmp_path: Path) -> None:
    bench.management.fault(boards[0], "boot_loader")
    bench.wait_until_boot_loader(boards[0])

    status, found = examined(tmp_path, "--quick")

    assert (status, "dfu-util" in problems(found)["boot loader"]["remedy"]) == (1, True)


def test_a_stick_that_never_comes_is_told(bench: Bench, boards: tuple[str, ...], tmp_path: Path) -> None:
    bench.management.fault(boards[0], "stick_missing")

    status, found = examined(tmp_path, "--board", boards[0])

    assert (status, problems(found)["stick"]["board"]) == (1, boards[0])


def test_a_disk_that_does_not_follow_the_mux_is_told(boards: tuple[str, ...], tmp_path: Path) -> None:
    lab = tmp_path / "lab.toml"
    lab.write_text(f'[place.a]\nserial = "{boards[0]}"\nstick = "{_a_disk_of_this_machine()}"\n')

    status, found = examined(tmp_path, "--board", "a", HIL_LAB=str(lab))

    assert (status, "hil enroll" in problems(found)["stick"]["remedy"]) == (1, True)


@pytest.mark.usefixtures("users", "boards")
def test_a_lock_folder_that_may_not_be_written_is_told(shared: Path) -> None:
    folder = shared / "locks"
    folder.mkdir(mode=0o755)

    status, found = examined(shared, "--quick", user=OUTSIDER, HIL_LOCK_DIR=str(folder))

    assert (status, f"chmod 1777 {folder}" in problems(found)["lock folder"]["remedy"]) == (1, True)


@pytest.mark.usefixtures("own_machine", "boards")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=True, timeout=60)
    try:
        (small / "log").write_bytes(bytes(900_000))
        status, found = examined(small, "--quick")
    finally:
        subprocess.run(["umount", "--lazy", small], check=True, timeout=60)

    assert (status, str(small) in problems(found)["disk space"]["says"]) == (1, True)


def test_a_board_in_use_goes_on_undisturbed(bench: Bench, boards: tuple[str, ...], tmp_path: Path) -> None:
    with acquire(boards[0], test="test_boot"):
        _, since = bench.management.log(boards[0])
        _, found = examined(tmp_path)
        requests, _ = bench.management.log(boards[0], since)

    assert "test_boot" in found["board"][0]["why"]
    assert [each for each in requests if each["bmRequestType"] == 0x41] == []


def _a_disk_of_this_machine() -> str:
    """A block device that no board has: one that stays."""
    disks = [disk for disk in Path("/sys/block").iterdir() if "/usb" not in str(disk.resolve())]
    return f"/dev/{disks[0].name}"
