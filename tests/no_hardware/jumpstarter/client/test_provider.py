"""Jumpstarter is an extra: without it errors say how to install it, and no other part of hil imports it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hil.boards.address import Where, parse_boards
from hil.cli.main import run
from hil.errors import UsageError

OURS = (
    "import hil.suite.plugin, hil.suite.boards.session, hil.boards.sources, hil.cli.main"
    ", hil.jumpstarter.client.provider"
)
NEEDED = ("jumpstarter", "jumpstarter_protocol", "grpc", "anyio")


def test_parse_boards_without_the_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.jumpstarter.client.provider.find_spec", lambda _name: None)

    with pytest.raises(UsageError, match=r"(?s)extra of hil.*pip install -e '\.\[jumpstarter\]'"):
        parse_boards("jumpstarter:board=dutlink")


def test_parse_boards_keeps_the_text_of_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.jumpstarter.client.provider.find_spec", lambda name: name)

    option = parse_boards("jumpstarter:board=dutlink,site=lab", "ann")

    assert (option.where, option.text, option.client) == (
        Where.JUMPSTARTER,
        "jumpstarter:board=dutlink,site=lab",
        "ann",
    )
    assert not option.simulated


def test_import_of_hil_imports_no_package_of_the_extra() -> None:
    code = f"{OURS}; import sys; print([name for name in {NEEDED} if name in sys.modules])"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


@pytest.mark.parametrize("command", [("power", "on"), ("safe",), ("boards",)])
def test_commands_refuse_the_boards_of_a_lab(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.jumpstarter.client.provider.find_spec", lambda name: name)

    status = run([*command, "--boards", "jumpstarter:board=dutlink"])

    assert status == 2
    assert "is for test runs" in capsys.readouterr().err
