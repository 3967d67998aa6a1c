"""The board's shell, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.sim.board.shell import AnswerBuffer
from hil.sim.interfaces import ControlPin, MuxPosition, PinLevel
from tests.support.board_bench import IN, READ, BoardBench

PROMPT = "\r\n#> "
SET_USAGE = "\r\nusage: set r|a|b|c|d l|h|z"


@pytest.fixture
def bench() -> BoardBench:
    """A board that left console mode."""
    bench = BoardBench()
    bench.enter_shell()
    return bench


def test_empty_line_gives_a_new_prompt(bench: BoardBench) -> None:
    assert bench.shell("") == PROMPT


def test_shell_echoes_typed_bytes_except_the_return(bench: BoardBench) -> None:
    bench.send(b"version\r")

    assert bench.drain() == b"version\r\n0.09 git-ref: 1a2b3c4\r\n#> "


def test_first_byte_of_an_echo_leaves_alone(bench: BoardBench) -> None:
    bench.send(b"version")

    assert [bench.receive().data for _ in range(2)] == [b"v", b"ersion"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("status", "Monitor: false, Meter: false"),
        ("status x", "usage: status"),
        ("version x", "0.09 git-ref: 1a2b3c4"),
        ("meter on", "Power meter monitoring enabled"),
        ("meter off", "Power monitor disabled"),
        ("meter read", "0.00A 0.00V 0.00W"),
        ("meter", "usage: meter on|read|off"),
        ("monitor on", "Monitor enabled"),
        ("monitor off", "Monitor disabled"),
        ("monitor", "usage: monitor on|off"),
        ("storage dut", "storage connected to device under test"),
        ("storage host", "storage connected to host"),
        ("storage off", "storage disconnected"),
        ("storage", "usage: storage dut|host|off"),
        ("power on", "Device powered on"),
        ("power off", "Device powered off"),
        ("power force-on", "Device forced on"),
        ("power force-off", "Device forced off"),
        ("power rescue", "Device powered on to rescue"),
        ("power on ", "usage: power on|off|force-on|force-off|rescue"),
        ("power", "usage: power on|off|force-on|force-off|rescue"),
        ("send", "usage: send string"),
        ("console now", "usage: console"),
        ("set r l", "Set /RESET to LOW"),
        ("set a h", "Set CTL_A to HIGH"),
        ("set d z", "Set CTL_D to HIGH IMPEDANCE"),
        (
            "get-config speed",
            "usage: get-config [name|tags|json|usb_console|power_on|power_off|power_rescue]",
        ),
        ("set-config", "usage: set-config name|tags|storage|usb_storage value"),
        ("set-config poweron p1", "usage: set-config name|tags|storage|usb_storage value"),
        ("set-config name", "Set name to "),
        ("set-config   tags   a   b", "Set tags to a"),
    ],
)
def test_command_answers_in_the_firmwares_words(bench: BoardBench, line: str, answer: str) -> None:
    assert bench.shell(line) == f"\r\n{answer}{PROMPT}"


@pytest.mark.parametrize("line", ["foo", "Help", "powered on", "helpme"])
def test_unknown_command_is_named_unsupported(bench: BoardBench, line: str) -> None:
    assert bench.shell(line) == f"\r\nunsupported command\r\n{PROMPT}"


def test_leading_space_makes_an_empty_command(bench: BoardBench) -> None:
    assert bench.shell(" version") == PROMPT


@pytest.mark.parametrize("arguments", ["", "x l", "a x", "a  l", "al", "a l ", "A L", "é l"])
def test_pins_are_set_by_one_letter_one_space_one_letter(bench: BoardBench, arguments: str) -> None:
    assert bench.shell(f"set {arguments}") == SET_USAGE + PROMPT


def test_set_drives_the_pin(bench: BoardBench) -> None:
    bench.shell("set r l")

    assert bench.dut.pins == [(ControlPin.RESET, PinLevel.LOW)]


def test_storage_moves_the_stick(bench: BoardBench) -> None:
    bench.shell("storage dut")

    assert bench.positions == [MuxPosition.DUT]


def test_power_switches_the_supply(bench: BoardBench) -> None:
    bench.shell("power force-on")

    assert bench.dut.supplies == [True]


def test_status_tells_what_is_on(bench: BoardBench) -> None:
    bench.shell("monitor on")
    bench.shell("meter on")

    assert bench.shell("status") == f"\r\nMonitor: true, Meter: true{PROMPT}"


def test_send_answers_with_nothing_but_a_prompt(bench: BoardBench) -> None:
    assert bench.shell("send hello") == PROMPT


def test_clear_clears_the_screen(bench: BoardBench) -> None:
    assert bench.shell("clear") == f"\x1b[H\x1b[2J{PROMPT}"


def test_help_is_longer_than_an_answer_and_comes_whole(bench: BoardBench) -> None:
    answer = bench.shell("help")

    assert len(answer) > 512
    assert answer.startswith("\r\nabout               : print information about this device\r\nclear ")
    assert answer.endswith(f"\r\nversion             : print version information\r\n{PROMPT}")


def test_about_tells_version_purpose_and_address(bench: BoardBench) -> None:
    lines = bench.shell("about").split("\r\n")

    assert lines[2] == "Jumpstarter test-harness version: 0.09 git-ref: 1a2b3c4"
    assert lines[-4:] == ["", "https://github.com/redhat-et/jumpstarter", "", "#> "]


def test_console_goes_back_without_a_prompt(bench: BoardBench) -> None:
    answer = bench.shell("console")

    assert answer == "\r\nEntering console mode, type CTRL+B 5 times to exit\r\n"
    assert bench.state["console_mode"]


def test_bytes_after_console_in_the_same_read_are_a_command(bench: BoardBench) -> None:
    bench.send(b"console\rversion\rfor the")

    assert bench.drain().endswith(b"exit\r\nversion\r\n0.09 git-ref: 1a2b3c4\r\nfor the")


def test_line_begun_before_console_is_ended_after_it(bench: BoardBench) -> None:
    bench.send(b"console\rver")
    bench.enter_shell()

    assert bench.shell("sion").startswith("\r\n0.09")


def test_settings_are_shown_one_by_one_and_together(bench: BoardBench) -> None:
    bench.shell("set-config name bob")
    bench.shell("set-config power_rescue aL,p1")

    assert bench.shell("get-config name") == f"\r\nbob{PROMPT}"
    assert bench.shell("get-config") == (
        "\r\nname: bob\r\ntags: \r\njson: \r\nusb_console: "
        f"\r\npower_on: \r\npower_off: \r\npower_rescue: aL,p1{PROMPT}"
    )


def test_setting_cleared_by_no_value_is_empty(bench: BoardBench) -> None:
    bench.shell("set-config name bob")

    bench.shell("set-config name")

    assert bench.state["settings"]["name"] == ""


def test_only_the_shell_reaches_the_json_setting(bench: BoardBench) -> None:
    bench.shell('set-config json {"a":1}')

    assert bench.state["settings"]["json"] == '{"a":1}'


def test_answer_of_512_bytes_ends_without_a_prompt(bench: BoardBench) -> None:
    bench.shell("set-config json " + "j" * 496)

    answer = bench.shell("get-config")

    assert len(answer) == 512
    assert answer == "\r\nname: \r\ntags: \r\njson: " + "j" * 488


def test_answer_too_long_for_its_prompt_keeps_its_line_break(bench: BoardBench) -> None:
    answer = bench.shell("set-config json " + "j" * 494)

    assert answer == "\r\nSet json to " + "j" * 494 + "\r\n"


def test_settings_are_shown_as_latin_1(bench: BoardBench) -> None:
    bench.set_config(0, b"caf\xe9")

    assert bench.shell("get-config name") == f"\r\ncafé{PROMPT}"


def test_shell_and_control_requests_share_the_settings(bench: BoardBench) -> None:
    bench.shell("set-config tags lab,fast")

    assert bench.read(3, 1, 64).rstrip(b"\0") == b"lab,fast"
    assert bench.control(IN, READ, 0, data=4).data == b"0.09"


def test_several_commands_in_one_read_are_answered_in_order(bench: BoardBench) -> None:
    bench.send(b"version\rstatus\r")

    assert bench.drain() == (
        b"version\r\n0.09 git-ref: 1a2b3c4\r\n#> status\r\nMonitor: false, Meter: false\r\n#> "
    )


def test_full_answer_takes_shorter_pieces_after_a_long_one() -> None:
    answer = AnswerBuffer()

    answer.write("x" * 509)
    answer.write("é")
    answer.write("y")

    assert bytes(answer) == b"\r\n" + b"x" * 509 + b"y"


def test_piece_that_does_not_fit_ends_its_write() -> None:
    answer = AnswerBuffer()

    answer.write("a", "x" * 511, "b")

    assert bytes(answer) == b"\r\na"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=8))
def test_no_answer_is_ever_longer_than_512_bytes(pieces: list[str]) -> None:
    answer = AnswerBuffer()

    for piece in pieces:
        answer.write(piece)

    assert len(answer) <= 512
