"""`hil udev`: the rule that lets people use boards without being root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from importlib import resources
from pathlib import Path

import pytest

import hil
from hil.cli.main import run
from hil.errors import UsageError
from hil.lab.files.system_root import SystemRoot
from hil.lab.udev import rule as udev_rule
from hil.lab.udev.rule import install_rule, rule_text
from hil.lab.udev.safe_unit import unit_text
from tests.support.other_user import MALLORY, as_user, folder_for_everybody, only_root


@pytest.fixture
def rule(capsys: pytest.CaptureFixture[str]) -> str:
    run(["udev"])
    return "\n".join(line for line in capsys.readouterr().out.splitlines() if not line.startswith("#"))


def test_udev_prints_the_rule(rule: str) -> None:
    assert 'LABEL="dutlink_end"' in rule


@pytest.mark.parametrize("product", ["1012", "e012"])
def test_rule_matches_boards_by_their_ids(rule: str, product: str) -> None:
    assert f'ATTR{{idVendor}}=="2b23", ATTR{{idProduct}}=="{product}"' in rule


@pytest.mark.parametrize(
    "grant", ['MODE="0660"', 'GROUP="plugdev"', 'TAG+="uaccess"', 'ENV{ID_MM_DEVICE_IGNORE}="1"']
)
def test_rule_grants_board_and_tty(rule: str, grant: str) -> None:
    assert rule.count(grant) == 2


def test_rule_with_an_unknown_group_keeps_other_grants(rule: str) -> None:
    assert {line for line in rule.splitlines() if "GROUP=" in line} == {'GROUP="plugdev"'}


def test_rule_matches_no_interfaces(rule: str) -> None:
    assert "ID_USB_INTERFACES" not in rule


def test_rule_has_a_label_for_every_goto(rule: str) -> None:
    jumps = {part.split('"')[1] for part in rule.split() if part.startswith("GOTO=")}
    labels = {part.split('"')[1] for part in rule.split() if part.startswith("LABEL=")}

    assert jumps == labels


@pytest.fixture
def udevadm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `udevadm` that writes down how it was called."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin/udevadm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return calls


def test_udev_install_writes_the_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--json", "udev", "--install", "--root", str(tmp_path)])

    file = tmp_path / "etc/udev/rules.d/60-dutlink.rules"
    assert (status, json.loads(capsys.readouterr().out)["installed"]) == (0, str(file))
    assert (file.read_text(), file.stat().st_mode & 0o777) == (rule_text(), 0o644)


def test_udev_install_applies_the_rule(
    tmp_path: Path, udevadm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "samefile", lambda *_paths: True)  # as if it were this machine's own root
    monkeypatch.setattr(udev_rule, "has_systemd", lambda _root: False)
    monkeypatch.setattr(SystemRoot, "has_group", lambda _system, _name: True)

    udev_rule.install_rule(tmp_path)

    assert [line.split()[0] for line in udevadm.read_text().splitlines()] == ["control", "trigger", "trigger"]


@pytest.mark.parametrize("folder", ["usr/lib/systemd/system", "lib/systemd/system"])
def test_udev_install_writes_the_unit_with_systemd(
    tmp_path: Path, udevadm: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    assert udevadm.parent
    (tmp_path / folder).mkdir(parents=True)

    status = run(["--json", "udev", "--install", "--root", str(tmp_path), "--python", "/usr/bin/python3"])

    file = tmp_path / "etc/systemd/system/hil-safe@.service"
    assert (status, json.loads(capsys.readouterr().out)["unit"]) == (0, str(file))
    assert "ExecStart=/usr/bin/python3 -m hil.cli.main safe --if-unsafe %i\n" in file.read_text()


def test_udev_install_writes_no_unit_without_systemd(
    tmp_path: Path, udevadm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert udevadm.parent

    run(["--json", "udev", "--install", "--root", str(tmp_path)])

    assert "unit" not in json.loads(capsys.readouterr().out)
    assert not (tmp_path / "etc/systemd").exists()


def test_rule_starts_the_unit_with_the_boards_serial_number(rule: str) -> None:
    (line,) = [line for line in rule.splitlines() if "SYSTEMD_WANTS" in line]

    assert 'ATTR{serial}=="' + 8 * "[0-9a-f]" + '"' in line
    assert 'TAG+="systemd", ENV{SYSTEMD_WANTS}+="hil-safe@$attr{serial}.service"' in line


def test_rule_is_accepted_by_udev() -> None:
    if shutil.which("udevadm") is None:
        pytest.skip("udev is not installed")
    rule = resources.files("hil") / "data/60-dutlink.rules"
    checked = subprocess.run(
        ["udevadm", "verify", "--no-summary", str(rule)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    if "Unknown command" in checked.stderr:
        pytest.skip("this udevadm cannot verify rules")

    assert checked.returncode == 0, checked.stderr


def test_packaged_unit_is_the_one_that_is_installed() -> None:
    packaged = Path(__file__).parents[4] / "packaging/systemd/hil-safe@.service"

    assert packaged.read_text() == unit_text(Path("/srv/hil/.venv/bin/python"), "hil", ("plugdev",))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("python", ["/usr/bin/python3", "/usr/bin/../bin/python3"])
def test_unit_is_accepted_by_systemd(tmp_path: Path, python: str) -> None:
    unit = tmp_path / "hil-safe@5a1c0e01.service"
    unit.write_text(unit_text(Path(python), "root", ("root",), '/tmp/locks 100% "mine"'))  # noqa: S108 - a name
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, check=False, text=True, timeout=60
    )

    assert "hil-safe@" not in checked.stderr, checked.stderr


def test_udev_install_reports_a_udev_that_does_not_answer(
    tmp_path: Path, udevadm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (udevadm.parent / "bin/udevadm").write_text("#!/bin/sh\necho no udev here >&2; exit 1\n")
    monkeypatch.setattr(Path, "samefile", lambda *_paths: True)  # as if it were this machine's own root
    monkeypatch.setattr(udev_rule, "has_systemd", lambda _root: False)
    monkeypatch.setattr(SystemRoot, "has_group", lambda _system, _name: True)

    done = udev_rule.install_rule(tmp_path)
    installed, why = [done.rule], done.problem

    assert (len(installed), "no udev here" in why) == (1, True)


@only_root
def test_udev_install_without_root_suggests_the_command() -> None:
    run(["udev"])  # the other user may not be able to read Python's own modules

    with folder_for_everybody() as image:
        image.chmod(0o755)
        with pytest.raises(UsageError) as caught:
            as_user(MALLORY, partial(install_rule, image))
    assert "sudo" in caught.value.remedy


IN_THE_WAY = [
    "etc",
    "etc/udev",
    "etc/udev/rules.d",
    "etc/udev/rules.d/60-dutlink.rules",
    "etc/systemd",
    "etc/systemd/system",
    "etc/systemd/system/hil-safe@.service",
]


@pytest.mark.parametrize("target", ["absolute", "relative", "dangling"])
@pytest.mark.parametrize("name", IN_THE_WAY)
def test_install_follows_no_link_out_of_an_image(
    tmp_path: Path, udevadm: Path, capsys: pytest.CaptureFixture[str], name: str, target: str
) -> None:
    image, outside = tmp_path / "image", tmp_path / "outside"
    (image / "usr/lib/systemd/system").mkdir(parents=True)
    link = image / name
    link.parent.mkdir(parents=True, exist_ok=True)
    outside.mkdir()
    if link.suffix:
        outside = outside / "file"
        outside.write_text("of the host")
    if target == "dangling":
        outside = outside.with_name("nothing")
    link.symlink_to(os.path.relpath(outside, link.parent) if target == "relative" else outside)

    status = run(["udev", "--install", "--root", str(image), "--python", "/usr/bin/python3"])

    assert (status, f"{link} is in the place of" in capsys.readouterr().err) == (2, True)
    assert not outside.exists() or outside.is_file() or not list(outside.iterdir())
    assert not outside.is_file() or outside.read_text() == "of the host"
    assert link.is_symlink()
    assert not udevadm.exists()


def test_install_into_an_image_leaves_this_machines_udev_alone(
    tmp_path: Path, udevadm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--json", "udev", "--install", "--root", str(tmp_path)])

    assert json.loads(capsys.readouterr().out)["applied"] is False
    assert not udevadm.exists()


# an image's own users, groups, and interpreter


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with systemd and the group, whose user 1234 is called ada; a link in it is absolute."""
    root = tmp_path / "image"
    for folder in ("etc", "usr/lib/systemd/system", "srv/hil/bin", "usr/bin", "opt"):
        (root / folder).mkdir(parents=True)
    (root / "etc/group").write_text("root:x:0:\nplugdev:x:46:\n")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nada:x:1234:1234::/home/ada:/bin/sh\n")
    (root / "srv/hil/bin/python").write_text("")
    (root / "opt/hil").symlink_to("/srv/hil")
    return root


def installed_unit(image: Path, *more: str) -> str:
    assert run(["udev", "--install", "--root", str(image), *more]) == 0
    return (image / "etc/systemd/system/hil-safe@.service").read_text()


def test_install_refuses_an_image_without_the_group_and_writes_nothing(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (image / "etc/group").write_text("root:x:0:\nplugdevs:x:46:\n")

    status = run(["udev", "--install", "--root", str(image), "--python", "/usr/bin/python3"])

    told = capsys.readouterr().err
    assert (status, f"groupadd --root {image} --system plugdev" in told) == (2, True)
    assert not (image / "etc/udev").exists()


def test_install_refuses_an_image_without_this_interpreter_and_writes_nothing(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["udev", "--install", "--root", str(image)])

    assert (status, "--python" in capsys.readouterr().err) == (2, True)
    assert not (image / "etc/udev").exists()
    assert not (image / "etc/systemd").exists()


def test_install_takes_this_interpreter_where_the_image_has_it_with_hil(image: Path) -> None:
    for file in (Path(sys.executable), Path(hil.__file__)):
        there = image / file.relative_to("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text("")

    assert f"ExecStart={sys.executable} -m hil" in installed_unit(image)


@only_root
@pytest.mark.parametrize(("owner", "user"), [(0, ""), (1234, "User=ada\n"), (4321, "User=4321\n")])
def test_install_runs_the_unit_as_the_owner_whom_the_image_knows(image: Path, owner: int, user: str) -> None:
    os.chown(image / "srv/hil", owner, owner)

    unit = installed_unit(image, "--python", "/opt/hil/bin/python")

    assert ("User=" in unit, user in unit) == (bool(user), True)
    assert ("SupplementaryGroups=plugdev" in unit) is bool(user)


def test_install_has_the_unit_lock_where_the_images_commands_do(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", "/run/of-this-machine")
    (image / "etc/environment").write_text('PATH="/bin"\nHIL_LOCK_DIR="/run/hil"\n')

    unit = installed_unit(image, "--python", "/usr/bin/python3")

    assert ("HIL_LOCK_DIR=/run/hil" in unit, "of-this-machine" in unit) == (True, False)


def test_system_root_reads_no_file_outside_of_an_image(image: Path) -> None:
    (image / "etc/group").unlink()
    (image / "etc/group").symlink_to("/etc/group")

    assert not SystemRoot(image).has_group("root")


@pytest.mark.parametrize("more", [["--python", "bin/python", "--install"], ["--python", "/usr/bin/python3"]])
def test_udev_refuses_an_interpreter_without_effect(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (run(["udev", *more]), "has no effect here" in capsys.readouterr().err) == (2, True)
