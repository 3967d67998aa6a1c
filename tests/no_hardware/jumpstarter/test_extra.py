"""Jumpstarter is an extra: without it hil says how to get it, and nothing imports it unasked."""

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


def test_without_the_extra_an_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.jumpstarter.optional.find_spec", lambda _name: None)

    with pytest.raises(UsageError, match=r"(?s)extra of hil.*pip install -e '\.\[jumpstarter\]'"):
        parse_boards("jumpstarter:board=dutlink")


def test_with_the_extra_the_asked_lab_is_kept_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.jumpstarter.optional.find_spec", lambda name: name)

    option = parse_boards("jumpstarter:board=dutlink,site=lab", "ann")

    assert (option.where, option.text, option.client) == (
        Where.JUMPSTARTER,
        "jumpstarter:board=dutlink,site=lab",
        "ann",
    )
    assert not option.simulated


def test_nothing_of_it_is_imported_by_the_rest_of_hil() -> None:
    code = f"{OURS}; import sys; print([name for name in {NEEDED} if name in sys.modules])"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


@pytest.mark.parametrize("command", [("power", "on"), ("safe",), ("boards",)])
def test_commands_by_hand_say_what_to_use_on_a_lab(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.jumpstarter.optional.find_spec", lambda name: name)

    status = run([*command, "--boards", "jumpstarter:board=dutlink"])

    assert status == 2
    assert "is for test runs" in capsys.readouterr().err
