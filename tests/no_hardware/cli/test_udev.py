"""`hil udev`: the rule that lets people use boards without being root."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hil.cli.main import run
from hil.lab.udev_rule import rule_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def rule(capsys: pytest.CaptureFixture[str]) -> str:
    run(["udev"])
    return "\n".join(line for line in capsys.readouterr().out.splitlines() if not line.startswith("#"))


def test_the_rule_is_printed(rule: str) -> None:
    assert 'LABEL="dutlink_end"' in rule


@pytest.mark.parametrize("product", ["1012", "e012"])
def test_boards_are_matched_by_their_ids(rule: str, product: str) -> None:
    assert f'ATTR{{idVendor}}=="2b23", ATTR{{idProduct}}=="{product}"' in rule


@pytest.mark.parametrize(
    "grant", ['MODE="0660"', 'GROUP="plugdev"', 'TAG+="uaccess"', 'ENV{ID_MM_DEVICE_IGNORE}="1"']
)
def test_both_the_board_and_its_tty_are_granted(rule: str, grant: str) -> None:
    assert rule.count(grant) == 2


def test_interfaces_are_not_matched_for_udev_does_not_list_all_of_them(rule: str) -> None:
    assert "ID_USB_INTERFACES" not in rule


def test_every_jump_has_its_label(rule: str) -> None:
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


def test_it_is_installed_and_applied(
    tmp_path: Path, udevadm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "udev", "--install", "--root", str(tmp_path)])

    file = tmp_path / "etc/udev/rules.d/60-dutlink.rules"
    assert (status, json.loads(capsys.readouterr().out)["installed"]) == (0, str(file))
    assert (file.read_text(), file.stat().st_mode & 0o777) == (rule_text(), 0o644)
    assert [line.split()[0] for line in udevadm.read_text().splitlines()] == ["control", "trigger"]


def test_a_udev_that_does_not_answer_leaves_it_installed_and_says_so(
    tmp_path: Path, udevadm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (udevadm.parent / "bin/udevadm").write_text("#!/bin/sh\necho no udev here >&2; exit 1\n")

    status = run(["--json", "udev", "--install", "--root", str(tmp_path)])

    answer = json.loads(capsys.readouterr().out)
    assert (status, answer["applied"], "no udev here" in answer["why"]) == (0, False, True)


def test_who_may_not_install_it_is_told_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").write_text("a file in the way")

    status = run(["udev", "--install", "--root", str(tmp_path)])

    assert (status, "sudo" in capsys.readouterr().err) == (2, True)
