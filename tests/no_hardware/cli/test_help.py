"""Help texts at a narrow terminal."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from hil.cli.main import cli

COLUMNS = 60
LONGER = "hil "  # lines to copy


def help_of(command: str) -> str:
    run = CliRunner().invoke(cli, [command, "--help"], env={"COLUMNS": str(COLUMNS)}, terminal_width=COLUMNS)
    assert run.exit_code == 0, run.output
    return run.output


@pytest.mark.parametrize("command", sorted(cli.list_commands(click.Context(cli))))
def test_help_fits_into_a_narrow_terminal(command: str) -> None:
    lines = [line for line in help_of(command).splitlines() if not line.strip().startswith(LONGER)]

    assert [line for line in lines if len(line) > COLUMNS] == []


def test_help_shows_no_range_of_seconds() -> None:
    shown = " ".join(help_of("lease").split())

    assert "[default: 30]" in shown
    assert "<=" not in shown
