"""One grammar: every command has help with examples, `--json` on both sides, and no traceback for anybody."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.cli.board_options import complete_board
from hil.cli.commands.settings import NAMES
from hil.cli.help_texts import EXAMPLES
from hil.cli.main import cli, run
from hil.dutlink.settings import Settings
from hil.evidence.records import RunRecord
from hil.history.store import History
from hil.lab.safe_state.record import BoardRecord, write_record
from tests.no_hardware.cli.commands_below import commands_below

ROOT = Path(__file__).parents[3]
COMMANDS = dict(commands_below(cli, "hil"))
LEAVES = {path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)}
EXAMPLE = re.compile(r"^ {2}(hil .*)$", re.MULTILINE)


def help_of(path: str) -> str:
    with click.Context(COMMANDS[path], info_name=path, max_content_width=200, terminal_width=200) as context:
        return COMMANDS[path].get_help(context)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_help_has_an_example_of_its_own(path: str) -> None:
    examples = EXAMPLE.findall(help_of(path))

    assert any(example.startswith(path) for example in examples), help_of(path)
    assert "\\b" not in help_of(path)


@pytest.mark.parametrize("path", LEAVES)
def test_every_help_tells_its_exit_statuses(path: str) -> None:
    assert "Exit status:" in help_of(path)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_example_is_understood(path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIL_BOARDS", "sim@40001")
    for example in EXAMPLE.findall(help_of(path)):
        words = [word for word in shlex.split(example.partition(" > ")[0])[1:] if word != "--json"]
        name, command = "hil", COMMANDS["hil"]
        while words and f"{name} {words[0]}" in COMMANDS:
            name = f"{name} {words.pop(0)}"
            command = COMMANDS[name]
        command.make_context(name, words, parent=click.Context(cli))  # raises for what it does not know


def test_no_example_is_left_over_from_a_command_that_is_gone() -> None:
    assert set(EXAMPLES) <= set(COMMANDS)


@pytest.mark.parametrize("noun", sorted({path.split()[1] for path in COMMANDS if " " in path}))
def test_every_noun_is_in_the_docs(noun: str) -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]

    assert any(f"hil {noun}" in page.read_text(encoding="utf-8") for page in pages)


@pytest.mark.parametrize("path", COMMANDS)
def test_json_option_is_taken_after_every_command(path: str) -> None:
    assert "--json" in help_of(path)


@pytest.mark.parametrize("arguments", [["--json", "power", "on"], ["power", "on", "--json"]])
def test_json_option_makes_errors_data_before_and_after_the_command(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIL_BOARDS", "none")

    status = run(arguments)

    assert (status, json.loads(capsys.readouterr().err)["error"]) == (1, "BoardAbsentError")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["pwoer", "on"], "hil power on"),
        (["power", "onn"], "hil power on"),
        (["sim", "falt"], "hil sim fault"),
    ],
)
def test_command_that_does_not_exist_leads_to_the_one_that_was_meant(
    typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(typed)

    assert (status, f"try: {meant}\n" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("power cycle --pause inf", "inf is not in the range"),
        ("power cycle --pause 1e300", "is not in the range"),
        ("pins reset --for nan", "'nan' is no number"),
        ("power read --wait nan", "'nan' is no number"),
        ("history forget --days nan", "'nan' is no number"),
        ("history --nights 99999999999999999999", "is not in the range"),
        ("history --nights x", "'x' is no whole number"),
        ("settings get nme", "'nme' is not one of name, tags"),
        ("settings set nme x", "'nme' is not one of name, tags"),
        ("completion", "bash, zsh, fish"),
    ],
)
def test_wrong_arguments_are_refused_before_a_board_is_searched(
    typed: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIL_BOARDS", "none")

    status = run(typed.split())

    assert (status, said in capsys.readouterr().err) == (2, True)


def test_each_setting_of_a_board_can_be_named() -> None:
    assert tuple(each.name for each in fields(Settings)) == NAMES


def test_missing_command_is_a_json_error(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--json", "power"])

    assert (status, json.loads(capsys.readouterr().err)["what"]) == (2, "hil power needs a command")


@pytest.mark.parametrize("command", [["history"], ["history", "test_a"], ["report"]])
def test_history_refuses_an_unknown_kind_of_runs(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIL_HISTORY", str(tmp_path / "h.db"))
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0, kind="nightly"))

    status = run([command[0], "--kind", "nigthly", *command[1:]])

    assert (status, "there are 'nightly'" in capsys.readouterr().err) == (1, True)
    assert not (tmp_path / "report").exists()


def test_report_goes_beside_its_history_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_HISTORY", str(tmp_path / "h.db"))
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0))

    assert (run(["report"]), (tmp_path / "report" / "index.html").is_file()) == (0, True)


@pytest.mark.parametrize(
    ("typed", "meant"), [("2026-11-24T013000Z", "2026-11-23T013000Z"), ("x", "2026-12-05T020000Z")]
)
def test_report_refuses_a_run_that_does_not_exist_and_names_the_nearest(
    typed: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for night in ("2026-11-23T013000Z", "2026-12-05T020000Z"):
        (tmp_path / night).mkdir()
        (tmp_path / night / "night.json").touch()

    status = run(["report", str(tmp_path / typed), "--history", str(tmp_path / "history.db")])

    told = capsys.readouterr().err
    assert (status, f"try: hil report {tmp_path / meant}, or" in told) == (1, True), told
    assert not (tmp_path / typed).exists()


def test_report_refuses_a_named_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    status = run(["report", str(pipe)])

    assert (status, "cannot be a folder of pages: it is a named pipe" in capsys.readouterr().err) == (1, True)


def test_history_says_that_a_device_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["history", "--history", "/dev/null"])

    assert (status, "/dev/null is no history: it is a device" in capsys.readouterr().err) == (1, True)


@pytest.mark.parametrize("name", ["a" * 300, "/proc/copy.img"])
def test_read_names_the_file_that_cannot_be_written_before_it_uses_a_board(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIL_BOARDS", "usb")

    status = run(["read", name])

    assert (status, f"{name} cannot be written" in capsys.readouterr().err) == (2, True)


WORDS = sorted(
    {word for path in COMMANDS for word in path.split()[1:]}
    | {option for command in COMMANDS.values() for each in command.params for option in each.opts}
)
HARMFUL = {"--install", "install", "uninstall", "run", "nightly", "sim", "--watch", "lease", "--root"}
"""What would change this machine, or never end; where there are no boards, the rest does no harm."""

JUNK = st.one_of(
    st.sampled_from([word for word in WORDS if word not in HARMFUL]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["-1", "0", "1e999", "nan", "--", "-", "", "sim@0", "sim@99999", "usb:3", "\udce4"]),
)


@settings(max_examples=150)
@given(arguments=st.lists(JUNK, max_size=6))
def test_no_mistake_ends_in_a_traceback(
    arguments: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch, Path(os.devnull).open(encoding="utf-8") as nobody:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        patch.setenv("HIL_BOARDS", "none")
        patch.setenv("HIL_LAB", "none")
        patch.setattr(sys, "stdin", nobody)
        status = run(arguments)

    assert status in {0, 1, 2, 18, 130}, arguments


def test_full_disk_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_sticks: object) -> str:
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("hil.lab.udev.rule.rule_text", full)

    status = run(["udev"])

    assert (status, "/somewhere: No space left on device" in capsys.readouterr().err) == (1, True)


def test_reader_that_ends_early_is_no_error() -> None:
    command = f"{sys.executable} -m hil.cli.main udev | true"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)

    assert ran.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["completion", shell])

    assert (status, "_HIL_COMPLETE" in capsys.readouterr().out) == (0, True)


def test_completion_answers_a_shell() -> None:
    environ = {**os.environ, "_HIL_COMPLETE": "bash_complete", "COMP_WORDS": "hil pow", "COMP_CWORD": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "hil.cli.main"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.stdout.strip() == "plain,power"


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock folder of the test's own, and no lab file."""
    folder = tmp_path / "locks"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("HIL_LOCK_DIR", str(folder))
    monkeypatch.setenv("HIL_LAB", "none")
    return folder


def test_completion_offers_places_and_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "locks"
    folder.mkdir(mode=0o700)
    (tmp_path / "lab.toml").write_text('[place.jetson-1]\nserial = "0df10035"\n')
    monkeypatch.setenv("HIL_LOCK_DIR", str(folder))
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))
    write_record(folder, "5a1c0e01", BoardRecord())
    context, option = click.Context(cli), click.Option(["--board"])

    offered = [[item.value for item in complete_board(context, option, begin)] for begin in ("", "je", "z")]

    assert offered == [["jetson-1", "5a1c0e01"], ["jetson-1"], []]


def test_completion_offers_no_name_that_a_shell_would_run(locks: Path) -> None:
    for name in ("$(touch x)", "a;b", "a b", "`id`", "5a1c0e01", "a\nb"):
        locks.joinpath(f"hil-board-{name}.json").write_bytes(b"")

    offered = [item.value for item in complete_board(click.Context(cli), click.Option(["--board"]), "")]

    assert offered == ["5a1c0e01"]


def test_completion_offers_the_boards_that_were_used_last(locks: Path) -> None:
    for number in range(20):
        write_record(locks, f"5a1c0e{number:02}", BoardRecord())
        os.utime(locks / f"hil-board-5a1c0e{number:02}.json", (number, number))

    offered = [item.value for item in complete_board(click.Context(cli), click.Option(["--board"]), "")]

    assert offered == [f"5a1c0e{number:02}" for number in range(19, 11, -1)]


def test_wrong_boards_option_is_named_in_the_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run(["boards", "--boards", "rack"])

    said = capsys.readouterr().err
    assert (status, "--boards 'rack'" in said, "--hil-boards" in said) == (2, True, False)


@pytest.mark.parametrize("exists", [False, True], ids=["without a history", "with a history"])
def test_history_tells_a_misspelt_command_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exists: bool
) -> None:
    path = tmp_path / "history.db"
    if exists:
        History(path).close()

    status = run(["history", "--history", str(path), "forgex"])

    said = capsys.readouterr().err
    assert (status, "hil history has no command forgex" in said) == (2, True), said
    assert "try: hil history forget" in said
