"""What --hil-boards jumpstarter... means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import UsageError
from hil.jumpstarter.client.target import DirectTarget, SelectorTarget, ShellTarget, parse_target

if TYPE_CHECKING:
    from pathlib import Path


def test_a_selector_asks_a_controller() -> None:
    assert parse_target("jumpstarter:board=dutlink", "ann") == SelectorTarget("board=dutlink", "ann")


def test_an_address_is_reached_directly_with_what_its_files_hold(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n", encoding="utf-8")
    (tmp_path / "ca").write_text("-----BEGIN", encoding="utf-8")
    text = f"jumpstarter+direct://lab1:19090?ca={tmp_path / 'ca'}&passphrase={tmp_path / 'secret'}"

    assert parse_target(text, environ={}) == DirectTarget("lab1:19090", tmp_path / "ca", "open sesame")


def test_a_passphrase_never_shows_in_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n", encoding="utf-8")

    target = parse_target(f"jumpstarter+direct://lab1:1?passphrase={tmp_path / 'secret'}", environ={})

    assert "sesame" not in repr(target)


def test_inside_a_jumpstarter_shell_its_environment_is_used() -> None:
    environ = {"JUMPSTARTER_HOST": "/run/socket", "JMP_EXPORTER": "lab1"}

    assert parse_target("jumpstarter", environ=environ) == ShellTarget("/run/socket", "lab1")


def test_outside_of_one_the_error_says_how_to_get_one() -> None:
    with pytest.raises(UsageError, match="jmp shell"):
        parse_target("jumpstarter", environ={})


@pytest.mark.parametrize(
    "text",
    [
        "jumpstarter:",
        "jumpstarter: ",
        "jumpstarters",
        "jumpstarter+direct://",
        "jumpstarter+direct://lab1",
        "jumpstarter+direct://lab1:0",
        "jumpstarter+direct://lab1:99999",
        "jumpstarter+direct://lab1:port",
        "jumpstarter+direct://lab1:1/path",
        "jumpstarter+direct://lab1:1?password=x",
        "jumpstarter+direct://lab1:1?ca=/no/such/file",
    ],
)
def test_what_is_not_understood_is_told_before_anything_is_done(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text, environ={})
