"""What a person reads: a verb ends in a sentence, lists have one layout, mistakes lead to what was meant."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click
import pytest

from hil.cli.main import cli, run
from hil.dutlink.timing import until
from hil.sim.dut.image import build_image
from hil.sim.management import fault_injection
from tests.no_hardware.cli.commands_below import commands_below

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

COMMANDS = dict(commands_below(cli, "hil"))
RAW = re.compile(r"None|-0\.0|_bytes|\w+: \w+\n\w+: ")
SIMULATOR = {"boards": 1, "speed": 10, "stick_bytes": 8 << 20}


@pytest.fixture
def board(
    simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[str, SimulatorProcess]:
    """A place called rack-3, with the only board, which is off."""
    (serial,) = simulator.serials()
    (tmp_path / "lab.toml").write_text(f'[place.rack-3]\nserial = "{serial}"\n')
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    return serial, simulator


def test_each_command_that_changed_something_prints_a_sentence(
    board: tuple[str, SimulatorProcess], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial, _ = board
    image = tmp_path / "product.img"
    build_image(image, "product", 8 << 20)

    for typed, said in {
        f"flash {image} --then off": r"Wrote product.img \(.* of 8 MiB\) to the stick of rack-3 and "
        r"verified it; the stick is detached\.",
        f"flash {image}": r"The stick of rack-3 holds product.img already, and nothing was written; "
        r"the stick is at the DUT\.",
        "power on": r"Switched on the DUT of rack-3\.",
        "pins set c low": r"Pin c of rack-3 is low\.",
        "pins reset --for 0.01": r"Held the reset pin of rack-3 low for 0.01 s; it is floating\.",
        "pins float": r"All pins of rack-3 are floating\.",
        "power rescue": r"Switched on the DUT of rack-3, as hil power on does: it stores no power_rescue .*",
        "power cycle --pause 0": r"Switched the DUT of rack-3 off and, after 0 s, on again\.",
        "power off": r"Switched off the DUT of rack-3\.",
        "power read": r"rack-3: \d\.\d\d V, \d\.\d\d A, \d\.\d\d W(?:\nNot settled: .*)?",
        "storage host": r"The stick of rack-3 is at this host: /.*",
        "storage off": r"The stick of rack-3 is detached\.",
        "settings set name left": r"Stored name = 'left' on rack-3\.",
        "settings apply": r"Nothing to store: rack-3 has the power sequences of the lab file\.",
        f"read {tmp_path / 'stick.img'} --size 1M": r"Read 1 MiB of the stick of rack-3 into .*stick.img; "
        r"the stick is detached\.",
        f"safe {serial}": rf"Board rack-3 \({serial}\) is safe; its DUT draws \d\.\d\d A.*\.",
        f"sim fault {serial} late seconds=0": rf"Board rack-3 \({serial}\) has the fault late now\.",
        f"sim clear {serial}": rf"Board rack-3 \({serial}\) has no faults now\.",
    }.items():
        status = run(typed.split())

        out = capsys.readouterr().out.rstrip("\n")
        assert (status, bool(re.fullmatch(said, out))) == (0, True), f"hil {typed}: {out}"
        assert RAW.search(out) is None


@pytest.mark.usefixtures("board")
def test_flash_reports_a_lost_stick_and_power_on_a_running_dut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_image(tmp_path / "next.img", "next", 8 << 20)
    run(["power", "force-on"])
    until(lambda: draws_current(capsys), 60)

    run(["flash", str(tmp_path / "next.img")])
    flashed = capsys.readouterr().out
    run(["flash", str(tmp_path / "next.img"), "--then", "off"])
    detached = capsys.readouterr().out
    run(["power", "on"])
    switched = capsys.readouterr().out
    run(["power", "force-off"])

    assert "it was written: hil power cycle boots it again" in flashed
    assert "it was compared: hil storage dut, then hil power cycle boots it again" in detached
    assert switched == "The DUT of rack-3 was on already; hil power cycle boots it again.\n"


def draws_current(capsys: pytest.CaptureFixture[str]) -> bool:
    """The meter averages over the last two seconds."""
    capsys.readouterr()
    run(["--json", "power", "read"])
    return bool(json.loads(capsys.readouterr().out)["amps"] > 0.1)


@pytest.mark.usefixtures("board")
def test_boards_has_one_layout(capsys: pytest.CaptureFixture[str]) -> None:
    run(["settings", "set", "tags", ""])
    capsys.readouterr()
    run(["boards"])
    without = capsys.readouterr().out
    run(["settings", "set", "tags", "x"])
    capsys.readouterr()
    run(["boards"])

    heads = {text.split("\n")[0].split()[0:8][-1] for text in (without, capsys.readouterr().out)}
    assert heads == {"TAGS"}


def test_misspelt_board_lists_each_board_once(
    board: tuple[str, SimulatorProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    serial, _ = board
    run(["settings", "set", "name", "rack-3"])
    capsys.readouterr()

    status = run(["power", "read", "--board", "rack-4"])

    error = capsys.readouterr().err
    assert (status, error.count(serial), error.count("rack-3 (")) == (1, 1, 1), error
    assert "did you mean rack-3?" in error


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ls", "try: hil boards\n"),
        ("on", "try: hil power on\n"),
        ("reboot", "try: hil power cycle\n"),
        ("pins flaot", "hil pins has no command 'flaot'\n  try: hil pins float\n"),
        ("help flsh", "hil has no command 'flsh'\n  try: hil flash --help\n"),
        ("pwer read --wait 3", "hil has no command 'pwer'\n  try: hil power read --wait 3\n"),
        ("pins xyzzy", "hil pins has no command 'xyzzy': it has float, reset, set\n  try: hil pins --help\n"),
        ("sim fault --control 1 5a1c0e01 hagn", "unknown fault 'hagn'\n  try: did you mean hang?\n"),
        ("sim fault --control 1 5a1c0e01 late", "the fault late needs seconds\n"),
        (
            "power cycle --puase 3",
            "hil power cycle has no option --puase\n  try: hil power cycle --pause 3\n",
        ),
        ("--board 5a1c0e01 power read", "  try: hil power read --board 5a1c0e01\n"),
        ("power --board=5a1c0e01 read", "  try: hil power read --board=5a1c0e01\n"),
        (
            "storage --board left",
            "  try: hil storage COMMAND --board left, where COMMAND is one of dut, host, learn, off\n",
        ),
        ("history numbers --history F", "  try: hil history --history F numbers\n"),
        ("history numbers boot --nights=3", "  try: hil history --nights=3 numbers boot\n"),
        ("power on 5a1c0e01", "  try: hil power on --board 5a1c0e01\n"),
        ("storage dut extra", "hil storage dut takes no arguments: extra\n  try: hil storage dut\n"),
        ("flash a.img b.img", "hil flash takes no more arguments: b.img\n  try: hil flash a.img\n"),
        ("pins float a", "  try: hil pins set a floating\n"),
        (
            "console --transcript",
            "console --transcript needs a value\n  try: hil console --transcript FILE\n",
        ),
        ("flash x --then", "needs a value: one of dut, host, off\n  try: hil flash x --then dut\n"),
        ("safe --all=1", "hil safe --all takes no value\n  try: hil safe --all\n"),
        ("flash --then off", "hil flash needs IMAGE\n  try: hil flash --then off IMAGE\n"),
        ("pins set", "hil pins set needs PIN: one of a, b, c, d, reset\n  try: hil pins set PIN\n"),
        ("report --nights x", "report --nights: 'x' is no whole number\n  try: hil report --nights 60\n"),
        ("boards --times x", "boards --times: 'x' is no whole number\n  try: hil boards --times N\n"),
        ("power on --wait x", "power on --wait: 'x' is no number\n  try: hil power on --wait 30\n"),
        ("power on 5a1c0e01 --board 5a1c0e02", "  try: hil power on --board 5a1c0e02\n"),
        ("pins a high", "  try: hil pins set a high\n"),
        ("pins a", "  try: hil pins set a LEVEL\n"),
        ("pins set a hi", "  try: hil pins set a high\n"),
        ("settings set nam x", "  try: hil settings set name x\n"),
        ("pins set", "hil pins set needs PIN: one of a, b, c, d, reset\n"),
        ("flash", "hil flash needs IMAGE\n"),
        ("nightly install", "hil nightly install needs --at\n"),
        ("sim state", "export HIL_BOARDS"),
        ("pins get", "a board does not report the levels of its pins\n  try: hil pins --help\n"),
    ],
)
def test_typing_error_leads_to_the_probable_command(
    typed: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HIL_BOARDS", raising=False)

    status = run(typed.split())

    assert (status, said in capsys.readouterr().err) == (2, True)


def test_nightly_needs_a_command_and_a_folder_with_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    alone, night = run(["nightly"]), run(["nightly", "run"])

    said = capsys.readouterr().err
    assert (alone, night, "Usage: hil nightly" in said) == (2, 2, True)
    assert f"no tests in {tmp_path}" in said


def test_help_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    statuses = run(["help"]), run(["help", "power", "cycle"])

    said = capsys.readouterr().out
    assert (statuses, "Usage: hil power cycle" in said) == ((0, 0), True)


def test_short_helps_are_whole_in_60_columns_and_have_no_comma() -> None:
    for path, command in COMMANDS.items():
        if path == "hil":
            continue
        short = command.get_short_help_str(200)
        assert 0 < len(short) <= 50, path
        assert "," not in short, f"fish cuts {path} there"
    with click.Context(cli, info_name="hil", terminal_width=60) as context:
        said = cli.get_help(context)
    assert "..." not in said.partition("Commands:")[2]
    assert max(map(len, said.splitlines())) <= 60


def test_each_fault_of_the_simulator_is_in_its_help() -> None:
    text = COMMANDS["hil sim fault"].help or ""
    assert [name for name in fault_injection.FAULT_NAMES if not re.search(rf"\b{name}\b", text)] == []
