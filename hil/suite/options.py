"""The options of a run: `--hil-boards` and others, and the environment variables in place of them."""

from __future__ import annotations

import math
import os
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from hil.boards.address import BoardsOption, Where, parse_boards, remote_lab
from hil.dutlink.console.sanitize import sanitize_line
from hil.errors import UsageError
from hil.lab.config.lab import Lab
from hil.lab.config.lab_file import find_lab
from hil.nearest import nearest
from hil.regular_file import check_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

    from hil.images.choice import ImageChoice

__all__ = [
    "RunOptions",
    "add_options",
    "is_declared",
    "is_no_run",
    "parse_times",
    "read_options",
]

DEFAULT_WAIT_S = 600.0
DEFAULT_SILENCE_S = 30.0
DEFAULT_IMAGE_LIMIT_S = 1800.0
_LEAST_SILENCE_S = 0.1  # a board takes some time for each answer: with less, each one is lost
MOST_REPEATS = 9
_EACH = ("any", "board", "kind")
_FLAGS = ("--hil-require", "--hil-whole-lab", "--hil-real")

_declared: WeakKeyDictionary[pytest.Parser, set[str]] = WeakKeyDictionary()


class RunOptions(NamedTuple):
    """The options of a run.

    Attributes:
        boards: Where the boards are.
        require: Whether missing hardware is a failure instead of a skip.
        wait_s: How long to wait for boards that other processes hold, in seconds.
        silence_s: How long a board may be silent before it counts as lost, in seconds; a board is silent
            during a power sequence.
        board: Serial number or name of the only board to use; empty for any.
        report: Folder for evidence and its pages; None: no evidence is kept.
        lab: The lab file.
        repeats: How often a test that fails on a board is repeated.
        whole_lab: Whether every board of the lab file must take part.
        unasked: With `--hil-real`: what asks for simulated boards, if no argument of pytest does; else empty.
        each: `board` or `kind`: each hardware test runs on every one of them; `any`: on one board.
        images: The images that tests run with.
        image_limit_s: The longest time to put an image on a board, in seconds; no part of a test's time.
    """

    boards: BoardsOption
    require: bool
    wait_s: float
    silence_s: float
    board: str = ""
    report: Path | None = None
    lab: Lab = Lab()
    repeats: int = 0
    whole_lab: bool = False
    unasked: str = ""
    each: str = "any"
    images: tuple[ImageChoice, ...] = ()
    image_limit_s: float = DEFAULT_IMAGE_LIMIT_S


def add_options(parser: pytest.Parser) -> None:
    """Declare the options once: a run may have several copies of conftest.py."""
    if is_declared(parser, "--hil-boards"):
        return
    group = parser.getgroup("hil", "hardware in the loop")
    group.addoption(
        "--hil-boards",
        metavar="WHERE",
        help="usb (default), sim:N (start N simulated boards; sim:N,speed=F: F times as fast), "
        "sim@PORT (running ones, by management port), "
        "jumpstarter:SELECTOR or jumpstarter+direct://HOST:PORT (a lab of many hosts: docs/jumpstarter.md), "
        "none; or the environment variable HIL_BOARDS",
    )
    group.addoption(
        "--hil-client",
        metavar="ALIAS_OR_FILE",
        help="the Jumpstarter client's configuration (default: HIL_CLIENT, else what jmp would use)",
    )
    group.addoption(
        "--hil-board", metavar="SERIAL_OR_NAME", help="use this board and no other (default: any)"
    )
    group.addoption(
        "--hil-each",
        metavar="WHAT",
        default="any",
        help="board or kind: run each hardware test once on every board, or on a board of every kind "
        "(docs/every-board.md; default: any, once on any board)",
    )
    group.addoption(
        "--hil-image",
        metavar="[PLACE_OR_TAG=]IMAGE",
        action="append",
        default=[],
        help="flash this image before a board's first test: a file, or an https address that ends in "
        "#sha256=DIGEST; given again, each test runs with each image (docs/images.md)",
    )
    group.addoption(
        "--hil-image-limit",
        metavar="SECONDS",
        default=f"{DEFAULT_IMAGE_LIMIT_S:g}",
        help="how long it may take to put an image on a board (default: %(default)s)",
    )
    group.addoption(
        "--hil-report", metavar="DIR", help="keep evidence of every test there, and make pages of it"
    )
    group.addoption(
        "--hil-lab",
        metavar="FILE",
        help="lab file; none for no file (default: HIL_LAB, else lab.toml in the project, "
        "~/.config/hil or /etc/hil)",
    )
    group.addoption("--hil-require", action="store_true", help="missing hardware is a failure, not a skip")
    group.addoption(
        "--hil-whole-lab",
        action="store_true",
        help="a board that the lab file lists and that takes no part is a failure of the run",
    )
    group.addoption(
        "--hil-real",
        action="store_true",
        help="simulated boards that no argument of pytest asks for are a failure of the run",
    )
    group.addoption(
        "--hil-repeat",
        metavar="TIMES",
        default="0",
        help="repeat a test that fails on a board, after a power cycle; passing then is flaky, not green",
    )
    group.addoption(
        "--hil-wait",
        metavar="SECONDS",
        default=f"{DEFAULT_WAIT_S:g}",
        help="how long to wait for a board that others hold (default: %(default)s)",
    )
    group.addoption(
        "--hil-silence",
        metavar="SECONDS",
        default=f"{DEFAULT_SILENCE_S:g}",
        help="how long a board may be silent before it counts as lost; more than your longest power sequence "
        "(default: %(default)s)",
    )


def is_no_run(config: pytest.Config) -> bool:
    """Return True if pytest runs no test, and only shows tests or fixtures."""
    option = config.option
    shows = ("collectonly", "setupplan", "showfixtures", "show_fixtures_per_test", "cacheshow")
    return any(getattr(option, name, False) for name in shows)


def is_declared(parser: pytest.Parser, option: str) -> bool:
    """Return True if another copy of conftest.py has declared an option; else note that it is declared."""
    known = _declared.setdefault(parser, set())
    if option in known:
        return True
    known.add(option)
    return False


def read_options(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> RunOptions:
    """Read the options of a run.

    Raises:
        pytest.UsageError: An option cannot be understood, or cannot be used with hil.
    """
    try:
        _refuse_each(config)
        _refuse_values_of_flags(config)
        _refuse_unsendable(config)
        boards = _boards(config, environ)
        return RunOptions(
            boards=boards,
            require=config.getoption("hil_require"),
            wait_s=_seconds("--hil-wait", config.getoption("hil_wait")),
            silence_s=_seconds("--hil-silence", config.getoption("hil_silence"), least=_LEAST_SILENCE_S),
            board=_board(config, boards),
            report=_folder(config),
            lab=find_lab(config.getoption("hil_lab"), config.invocation_params.dir, environ),
            repeats=parse_times("--hil-repeat", config.getoption("hil_repeat")),
            whole_lab=config.getoption("hil_whole_lab"),
            unasked=_unasked(config, environ),
            each=_each(config.getoption("hil_each")),
            images=_images(config),
            image_limit_s=_seconds("--hil-image-limit", config.getoption("hil_image_limit")),
        )
    except UsageError as error:
        from pytest import UsageError as PytestUsageError  # noqa: PLC0415, PT013 - the command line does without

        raise PytestUsageError(str(error)) from error


def _images(config: pytest.Config) -> tuple[ImageChoice, ...]:
    asked: list[str] = config.getoption("hil_image")
    if not asked:
        return ()
    from hil.images.choice import parse_choice  # noqa: PLC0415 - only for runs with images

    return tuple(parse_choice(text, config.invocation_params.dir) for text in asked)


def _refuse_each(config: pytest.Config) -> None:
    """Refuse the mode of xdist in which a test has several results in one run.

    Raises:
        UsageError: The mode was asked for.
    """
    if getattr(config.option, "dist", "no") == "each":
        raise UsageError(
            "--dist each cannot be used with hil",
            why="it runs each test in every worker, and a run of hil has one result for each test",
            remedy="-n NUMBER, which runs each test once; for several Pythons, one run for each",
        )


def _refuse_values_of_flags(config: pytest.Config) -> None:
    """Refuse a word after an option without a value, which pytest would take for a path of tests.

    Raises:
        UsageError: There is no file of this name.
    """
    words = config.invocation_params.args
    for option, word in pairwise(map(str, words)):
        if option in _FLAGS and not word.startswith("-"):
            path = config.invocation_params.dir / word.partition("::")[0]
            if not path.exists() and not config.getoption("pyargs"):
                raise UsageError(
                    f"{option} takes no value",
                    why=f"there is no file or folder {word}",
                    remedy=_flag_remedy(option, word),
                )


def _flag_remedy(option: str, word: str) -> str:
    kind = nearest(word, ("hardware", "mixed", "no_hardware"))
    return f"{option} -m {kind}" if kind else f"{option} alone"


def _each(text: str) -> str:
    if text in _EACH:
        return text
    raise UsageError(
        f"--hil-each {text!r} is not understood",
        why=f"it is one of {', '.join(_EACH)}",
        remedy=f"--hil-each {nearest(text, _EACH) or 'board'}",
    )


def _refuse_unsendable(config: pytest.Config) -> None:
    """Refuse workers in a folder, or with an argument, that xdist cannot send to them.

    Raises:
        UsageError: Its bytes are not UTF-8.
    """
    if getattr(config.option, "dist", "no") == "no" or hasattr(config, "workerinput"):
        return
    by_environment = config.getoption("hil_history", "")
    of_run = (config.invocation_params.dir, config.rootpath, by_environment)
    for sent in (*of_run, *config.invocation_params.args):
        text = str(sent)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"-n cannot be used with {sanitize_line(text)}",
                why="it is not UTF-8, and xdist cannot send it to workers",
                remedy="rename it, or run without -n",
            ) from None


def _unasked(config: pytest.Config, environ: Mapping[str, str]) -> str:
    """Return what asks for simulated boards in a run that must use real ones; empty if an argument does."""
    arguments = map(str, config.invocation_params.args)  # without those of PYTEST_ADDOPTS and addopts
    if not config.getoption("hil_real") or any(one.split("=")[0] == "--hil-boards" for one in arguments):
        return ""
    option: str | None = config.getoption("hil_boards")
    text = environ.get("HIL_BOARDS", "") if option is None else option
    asks = "HIL_BOARDS=" if option is None else "PYTEST_ADDOPTS or addopts with --hil-boards "
    return asks + text if text.startswith("sim") else ""


def _boards(config: pytest.Config, environ: Mapping[str, str]) -> BoardsOption:
    asked: str | None = config.getoption("hil_boards")
    boards = parse_boards(
        asked if asked is not None else environ.get("HIL_BOARDS") or _default_boards(environ),
        config.getoption("hil_client") or environ.get("HIL_CLIENT", ""),
    )
    lab = remote_lab(boards.text)
    if lab is not None and not hasattr(config, "workerinput"):
        lab.check_client(boards.text, boards.client)
    return boards


def _folder(config: pytest.Config) -> Path | None:
    asked: str | None = config.getoption("hil_report")
    if not asked:
        return None
    from hil.lab.files.trusted_path import refuse_foreign_folder  # noqa: PLC0415 - only runs that keep evidence pay

    folder = config.invocation_params.dir / asked
    refuse_foreign_folder(folder, config.rootpath, "--hil-report")
    try:
        check_folder(folder)
    except OSError as error:
        remedy = "name a folder, or a path where there is nothing yet"
        why = str(error.strerror)
        raise UsageError(f"--hil-report {folder} cannot be a folder", why=why, remedy=remedy) from error
    if folder.is_dir() and not hasattr(config, "workerinput"):
        from hil.evidence.run_folder import refuse_foreign_report  # noqa: PLC0415 - only runs that keep evidence pay

        refuse_foreign_report(folder)
    return folder


def _default_boards(environ: Mapping[str, str]) -> str:
    """Return the default: USB, or the board of the Jumpstarter shell that pytest runs in."""
    return "jumpstarter" if environ.get("JUMPSTARTER_HOST") and find_spec("jumpstarter") else "usb"


def parse_times(option: str, text: str) -> int:
    """Read a number of repetitions.

    Raises:
        UsageError: The text is not such a number.
    """
    if text.isascii() and text.isdigit() and int(text) <= MOST_REPEATS:
        return int(text)
    raise UsageError(
        f"{option} {text!r} is not understood",
        why=f"it is a number from 0 to {MOST_REPEATS}",
        remedy=f"{option} 1",
    )


def _board(config: pytest.Config, boards: BoardsOption) -> str:
    """Return the only board to use; empty if the option was not given."""
    board: str | None = config.getoption("hil_board")
    if board is not None and not board.strip():
        raise UsageError(
            "--hil-board is empty",
            why="a variable that is not set is no board's name, and no leave to use any board",
            remedy="--hil-board SERIAL_OR_NAME, or leave it out: any board will do then",
        )
    if board and boards.where is Where.NOWHERE:
        raise UsageError(
            f"--hil-board {board} asks for a board that --hil-boards none leaves out",
            why="the two contradict each other",
            remedy="leave one of them out",
        )
    return board or ""


def _seconds(option: str, text: str, least: float = 0.0) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds) and seconds >= least:
        return seconds
    why = "it is a number of seconds" + (f", {least:g} at least" if least else "")
    raise UsageError(f"{option} {text!r} is not understood", why=why, remedy=f"{option} 60")
