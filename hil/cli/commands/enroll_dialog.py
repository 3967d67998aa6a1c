"""The steps and questions of `hil enroll`, board by board."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.board_context import current_lab, find_source
from hil.cli.result import Answer
from hil.dutlink.board import open_driver
from hil.dutlink.discovery import list_boards
from hil.dutlink.held_boards import held_boards
from hil.dutlink.power.power import OFF_AMPS
from hil.errors import BoardAbsentError, BoardBusyError, HilError, UsageError, Verdict, with_names
from hil.lab.board_lookup import resolve_serial
from hil.lab.config.lab_file import FILE_NAME, project_folder
from hil.lab.enroll.lab_file_editor import LabFileEditor, default_name, split_words
from hil.lab.enroll.survey import Survey, survey
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lease import last_used_s
from hil.lab.safe_state.meter_settling import wait_until_settled
from hil.lab.udev.rule import INSTALL_RULE, unopened_sticks

if TYPE_CHECKING:
    from hil.cli.board_options import BoardSelection
    from hil.dutlink.board import Board
    from hil.lab.locks.lease import Lease

__all__ = ["EnrollCommand", "EnrollOptions"]

_USABLE = (Verdict.PRESENT, Verdict.LOST)


@dataclass(frozen=True, slots=True)
class EnrollOptions:
    """Options of `hil enroll`.

    Attributes:
        name: Name of the place.
        tags: Tags separated by commas.
        file: The lab file, or None for the current one.
        listen_s: How long to listen to consoles, in seconds.
        yes: The answer to each question is yes.
        dry_run: Write nothing.
    """

    name: str | None
    tags: str | None
    file: Path | None
    listen_s: float
    yes: bool
    dry_run: bool


class EnrollCommand:
    """One run of `hil enroll`.

    Args:
        selection: The boards.
        options: The other options.

    Raises:
        UsageError: The lab file has an error, or `selection` names no existing boards.
    """

    def __init__(self, selection: BoardSelection, options: EnrollOptions) -> None:
        self._source = find_source(selection.boards)
        self._host = self._source.host()
        self._asked = selection
        self._options = options
        file = options.file or current_lab().file or project_folder(Path.cwd()) / FILE_NAME
        self._edit = LabFileEditor(file)

    def run(self) -> Answer:
        """Survey the boards, then show and write the lab file."""
        serials = self._serials()
        self._refuse_without_terminal()
        boards = [*self._unusable(), *(self._one(serial) for serial in serials)]
        diff = self._edit.diff
        written = self._write(diff)
        if self._host.sys == Path("/sys"):
            _tell_of_unopened()
        answer = {"file": str(self._edit.file), "written": written, "diff": diff, "boards": boards}
        context = click.get_current_context()
        store = "would store" if self._options.dry_run else "stored"
        value = answer if context.find_root().params["as_json"] else _summary(answer, store)
        return Answer(value, int(any(board["problems"] for board in boards)))

    def _refuse_without_terminal(self) -> None:
        """Refuse to ask questions that no user can answer; only after a board was found."""
        options = self._options
        if not options.yes and not options.dry_run and not sys.stdin.isatty():
            raise UsageError(
                "hil enroll asks questions, which need a terminal",
                why="standard input is no terminal",
                remedy="hil enroll --yes, or --dry-run",
            )

    def _serials(self) -> list[str]:
        if self._asked.serial:
            return [resolve_serial(self._host, self._edit.lab, self._asked.serial)]
        seen = list_boards(self._host)
        serials = [each.serial for each in seen if each.serial and each.verdict in _USABLE]
        if not serials:
            why = (
                "; ".join(dict.fromkeys(each.error.what for each in seen if each.error))
                or "no device has the USB ids of a board"
            )
            raise BoardAbsentError(
                f"{self._host.label} has no board to enroll", why=why, remedy="hil doctor suggests a remedy"
            )
        return serials

    def _unusable(self) -> list[dict[str, Any]]:
        """Return the boards that cannot be enrolled now: in the boot loader, or may not be opened."""
        seen = [] if self._asked.serial else list_boards(self._host)
        return [
            {"board": each.serial or f"at {each.location}", "place": None, "stored": {}}
            | {"stick": None, "console": None, "problems": [str(each.error)]}
            for each in seen
            if each.error is not None and (each.serial is None or each.verdict not in _USABLE)
        ]

    def _one(self, serial: str) -> dict[str, Any]:
        row: dict[str, Any] = {"board": serial, "place": self._edit.lab.name_of(serial) or None}
        row |= {"stick": None, "console": None, "stored": {}, "problems": []}
        if self._edit.lab.leaves_alone(serial):
            row["problems"] = [f"{self._edit.file} says that its DUT is left alone"]
            return row
        try:
            self._enroll(serial, row)
        except BoardBusyError as error:
            row["problems"] += [f"{error.what}: {error.why}"]
        except HilError as error:
            row["problems"] += [str(error)]
        return row

    def _enroll(self, serial: str, row: dict[str, Any]) -> None:
        used_s = last_used_s(serial)
        with acquire(serial, wait_s=self._asked.wait_s, test="hil enroll", host=self._host) as lease:
            wait_until_settled(used_s)
            with held_boards.any_board(), open_driver(self._host, serial, console=False) as board:
                if not self._may_switch_off(board):
                    row["problems"] += ["its DUT is on and stays on; to enroll it: hil power off, or --yes"]
                    return
                self._survey(board, lease, row)

    def _may_switch_off(self, board: Board) -> bool:
        amps = board.power.read().amps
        if abs(amps) >= OFF_AMPS and self._options.dry_run and not self._options.yes:
            return False
        return abs(amps) < OFF_AMPS or self._agreed(
            f"The DUT of {with_names(f'board {board.serial}')} is on ({amps:.2f} A). Switch it off?"
        )

    def _survey(self, board: Board, lease: Lease, row: dict[str, Any]) -> None:
        """Survey a board under a guard, which makes it safe if this process dies."""
        with under_guard(lease, self._source.safety()):
            listen = f", listening to consoles for {self._options.listen_s:g} s at most"
            _tell(f"board {board.serial}: moving its mux{listen if self._options.listen_s else ''}")
            found = survey(board, self._options.listen_s)
            row |= {"stick": str(found.stick) if found.stick else None, "problems": list(found.remarks)}
            row["console"] = str(found.console or "the board's own") if found.spoke else None
            silent = "none spoke" if self._options.listen_s else "not listened to"
            _tell(f"  stick: {row['stick'] or 'none'}\n  console: {row['console'] or silent}")
            self._keep(board, found, row)

    def _keep(self, board: Board, found: Survey, row: dict[str, Any]) -> None:
        """Add the place to the lab file, and store name and tags on the board if the user agrees."""
        settings = board.settings.read()
        lab, options = self._edit.lab, self._options
        name = self._name(board.serial, settings.name)
        known = sorted(lab.tags_of(board.serial).union(settings.tag_list))
        tags = split_words(self._answer("Its tags, separated by commas", options.tags, ",".join(known)))
        wanted = self._wanted_on_board(name, tags, settings.name, settings.tag_list)
        changes = {**wanted, **lab.differing_sequences(board.serial, settings)}
        shown = ", ".join(f"{key} = {value!r}" for key, value in changes.items())
        if changes and self._agreed(
            with_names(f"Store on board {board.serial}: {shown}? It keeps them wherever it is plugged in")
        ):
            row["stored"] = changes
            if not options.dry_run:
                board.settings.write(**changes)
        stored = split_words(row["stored"].get("tags", settings.tags))
        self._edit.add(name, board.serial, found, [tag for tag in tags if tag not in stored])
        row["place"] = name

    def _name(self, serial: str, stored: str) -> str:
        """Return the name of a board's place; ask again while the lab file cannot have the answer."""
        lab, given = self._edit.lab, self._options.name
        default = lab.name_of(serial) or default_name(lab, serial, stored)
        while True:
            name = self._answer(f"Name of the place of {with_names(f'board {serial}')}", given, default)
            try:
                self._edit.check_name(name, serial)
            except UsageError as error:
                if given is not None or self._options.yes or self._options.dry_run:
                    raise
                _tell(f"{error.what}: {error.why}")
            else:
                return name

    def _wanted_on_board(self, name: str, tags: list[str], now: str, tags_now: list[str]) -> dict[str, str]:
        """Return name and tags to store on the board; a default name is not stored, to save flash wear."""
        options = self._options
        chosen = bool(options.name) or not (options.yes or options.dry_run)
        wanted = {"name": name} if chosen and name != now else {}
        return wanted | ({"tags": ",".join(tags)} if set(tags) != set(tags_now) and tags else {})

    def _write(self, diff: str) -> bool:
        if not diff:
            return False
        click.echo(diff, err=True)
        if self._options.dry_run or not self._agreed(f"Write {self._edit.file}?"):
            return False
        self._edit.write()
        return True

    def _agreed(self, question: str) -> bool:
        options = self._options
        return options.yes or options.dry_run or click.confirm(question, err=True)

    def _answer(self, question: str, given: str | None, default: str) -> str:
        if given is not None or self._options.yes or self._options.dry_run:
            return default if given is None else given
        answer: str = click.prompt(question, default=default, show_default=bool(default), err=True)
        return answer.strip()


def _tell(line: str) -> None:
    click.echo(with_names(line), err=True)


def _tell_of_unopened() -> None:
    """Print how to open the sticks that were found, if the udev rule does not open them yet."""
    if sticks := unopened_sticks():
        _tell(
            f"the sticks at {', '.join(map(str, sticks))} are root's; open them to the group: {INSTALL_RULE}"
        )


def _summary(answer: dict[str, Any], store: str) -> list[str]:
    lines = []
    for board in answer["boards"]:
        stored = ", ".join(board["stored"])
        place = f"place {board['place']}" if board["place"] else "not enrolled"
        lines += [f"board {board['board']}: {place}{f', {store} {stored}' if stored else ''}"]
        lines += [f"  {problem}" for problem in board["problems"]]
    unchanged = not answer["diff"] and Path(answer["file"]).exists()
    done = "written" if answer["written"] else "unchanged" if unchanged else "not written"
    lines += [f"{answer['file']}: {done}"]
    if off := [board["board"] for board in answer["boards"] if board["stick"]]:
        which = off[0] if len(off) == 1 else "SERIAL"
        lines += [f"the stick is off; to give it to the DUT: hil storage dut --board {which}"]
    return lines
