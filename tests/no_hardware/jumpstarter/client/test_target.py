"""Parse the values of `--hil-boards` that begin with `jumpstarter`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import UsageError
from hil.jumpstarter.client.target import DirectTarget, SelectorTarget, ShellTarget, parse_target

if TYPE_CHECKING:
    from pathlib import Path


def test_parse_target_reads_a_selector() -> None:
    assert parse_target("jumpstarter:board=dutlink", "ann") == SelectorTarget("board=dutlink", "ann")


def test_parse_target_reads_an_address_and_its_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n", encoding="utf-8")
    (tmp_path / "ca").write_text("-----BEGIN", encoding="utf-8")
    text = f"jumpstarter+direct://lab1:19090?ca={tmp_path / 'ca'}&passphrase={tmp_path / 'secret'}"

    assert parse_target(text, environ={}) == DirectTarget("lab1:19090", tmp_path / "ca", "open sesame")


def test_repr_of_a_direct_target_hides_the_passphrase(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n", encoding="utf-8")

    target = parse_target(f"jumpstarter+direct://lab1:1?passphrase={tmp_path / 'secret'}", environ={})

    assert "sesame" not in repr(target)


def test_parse_target_reads_the_environment_of_jmp_shell() -> None:
    environ = {"JUMPSTARTER_HOST": "/run/socket", "JMP_EXPORTER": "lab1"}

    assert parse_target("jumpstarter", environ=environ) == ShellTarget("/run/socket", "lab1")


def test_parse_target_outside_of_jmp_shell_says_how_to_start_one() -> None:
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
def test_parse_target_refuses_other_text(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text, environ={})
