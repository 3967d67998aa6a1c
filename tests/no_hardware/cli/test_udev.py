"""`hil udev`: the rule that lets people use boards without being root."""

from __future__ import annotations

import pytest

from hil.cli.main import run


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
