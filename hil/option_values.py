"""Keep pytest from taking the value of an option of hil for a path of tests.

pytest reads the command line before it loads a `conftest.py`, and with it the options of hil. In
`--hil-image ../rack.img` the value is to it a path of tests: pytest looks there for its root folder and for
`conftest.py`. In `--hil-image=../rack.img` it is no path.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["OPTIONS", "join_values"]

OPTIONS: Final = (
    "--hil-boards",
    "--hil-client",
    "--hil-board",
    "--hil-each",
    "--hil-image",
    "--hil-image-limit",
    "--hil-report",
    "--hil-lab",
    "--hil-repeat",
    "--hil-wait",
    "--hil-silence",
    "--hil-history",
    "--hil-history-kind",
    "--hil-history-key",
)
"""The options of `hil.plugin` that take a value."""


def join_values(config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Rewrite `--option value` in the command line as `--option=value`, before pytest loads a conftest.py.

    Raises:
        pytest.UsageError: The value made pytest choose another root folder or configuration file; it has
            read that file by now.
    """
    joined, _ = _join(args)
    if joined == args:
        return
    args[:] = joined
    known = parser.parse_known_args(args)
    config.known_args_namespace.file_or_dir = known.file_or_dir
    typed = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *config.invocation_params.args]
    _, values = _join([os.fspath(arg) for arg in typed])
    if values:
        _refuse_other_root(config, known, values)


def _join(args: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the arguments with each value joined to its option, and the pairs that were apart."""
    joined: list[str] = []
    values: list[tuple[str, str]] = []
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            return [*joined, arg, *rest], values
        value = next(rest, None) if arg in OPTIONS else None
        if value is None:
            joined.append(arg)
        elif value.startswith("-"):  # no value: argparse says what is missing
            joined += [arg, value]
        else:
            joined.append(f"{arg}={value}")
            values.append((arg, value))
    return joined, values


def _refuse_other_root(config: pytest.Config, known: object, values: list[tuple[str, str]]) -> None:
    from _pytest.config.findpaths import determine_setup  # noqa: PLC0415 - pytest offers no other way to ask

    def setup(paths: list[str]) -> tuple[object, object]:
        found = determine_setup(
            inifile=getattr(known, "inifilename", None),
            override_ini=getattr(known, "override_ini", None),
            args=paths,
            rootdir_cmd_arg=getattr(known, "rootdir", None) or None,
            invocation_dir=config.invocation_params.dir,
        )
        return found[:2]

    paths: list[str] = config.known_args_namespace.file_or_dir
    right = setup(paths)
    for option, value in values:
        if setup([*paths, value]) != right:
            raise pytest.UsageError(
                f"pytest takes {value} for a path of tests, and looks there for its configuration; "
                f"write {shlex.quote(f'{option}={value}')}"
            )
