"""Markers and fixtures decide which tests use a board, and -m selects by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.errors import UsageError
from hil.sim.process import SimulatorProcess
from hil.suite.marker_arguments import check_arguments, check_words
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

TROUBLE = pytest.mark.expects_on_console


@pytest.fixture(scope="module")
def two_boards() -> Iterator[SimulatorProcess]:
    """Two boards that are tagged one and two."""
    with SimulatorProcess(boards=2) as process:
        for serial, tag in zip(process.serials(), ("one", "two"), strict=True):
            with open_driver(simulated_host(process.ready), serial, console=False) as board:
                board.settings.write(tags=tag)
        yield process


@pytest.fixture
def one_and_two(two_boards: SimulatorProcess) -> str:
    """How a run is told to use them."""
    return f"sim@{two_boards.ready['control_port']}"


@pytest.fixture
def serials(two_boards: SimulatorProcess) -> list[str]:
    return two_boards.serials()


@pytest.mark.parametrize("marker", [TROUBLE("panic"), TROUBLE("panic", "oops"), TROUBLE()], ids=str)
def test_check_words_accepts_words_and_nothing(marker: pytest.MarkDecorator) -> None:
    check_words("test_x", [marker.mark])


@pytest.mark.parametrize("marker", [TROUBLE(foo=1), TROUBLE(17), TROUBLE(""), TROUBLE("x", None)], ids=str)
def test_check_words_refuses_anything_else(marker: pytest.MarkDecorator) -> None:
    with pytest.raises(UsageError, match="expects_on_console does not know"):
        check_words("test_x", [marker.mark])


def test_check_words_refuses_a_word_that_is_no_regular_expression() -> None:
    with pytest.raises(UsageError) as raised:
        check_words("a.py::test_x", [TROUBLE("panic", "oops[").mark])

    assert raised.value.what == "a.py::test_x: the marker expects_on_console cannot look for 'oops['"
    assert "position 4" in raised.value.why


def test_check_arguments_refuses_markers_that_contradict_each_other() -> None:
    marks = [pytest.mark.hardware(observes_only=yes).mark for yes in (True, False)]

    with pytest.raises(UsageError, match="contradict each other"):
        check_arguments("test_x", marks)


@pytest.mark.parametrize(
    "value", [0, -1, True, 2.0, "2", {}, {"": "a"}, {"a b": "c"}, {"a": 1}, [1, 2]], ids=repr
)
def test_check_arguments_refuses_boards_that_are_no_number_and_no_roles(value: object) -> None:
    with pytest.raises(UsageError, match="the marker hardware does not know boards=") as raised:
        check_arguments("test_x", [pytest.mark.hardware(boards=value).mark])

    assert "a number from 1, or tags by role" in raised.value.why


@pytest.mark.parametrize(
    "value", [1, 3, {"server": "ethernet", "client": ["wifi", "arm"], "third": ""}], ids=repr
)
def test_check_arguments_accepts_a_number_of_boards_and_roles(value: object) -> None:
    check_arguments("test_x", [pytest.mark.hardware(boards=value).mark])


def test_check_arguments_refuses_different_boards_of_class_and_test() -> None:
    marks = [pytest.mark.hardware(boards=number).mark for number in (2, 3)]

    with pytest.raises(UsageError, match="boards=2 and boards=3"):
        check_arguments("test_x", marks)


def test_check_arguments_refuses_several_boards_on_each_board() -> None:
    marks = [pytest.mark.hardware(boards=2, each="board").mark]

    with pytest.raises(UsageError, match="does not know each= and boards="):
        check_arguments("test_x", marks)


def test_check_arguments_refuses_several_boards_of_a_mixed_test() -> None:
    with pytest.raises(UsageError, match="the marker mixed does not know boards="):
        check_arguments("test_x", [pytest.mark.mixed(boards=2).mark])


ONE_OF_EACH = program(__file__, "markers_one_of_each")
CONTRADICTION_TOLD = {
    "a misspelt marker": "did you mean hardware?",
    "a misspelt fixture": "can request has that name\n      try: did you mean power?",
    "a fixture with a swapped pair": "fixture 'pwoer' not found",
    "a fixture that does not exist": "pytest --fixtures test_inner.py lists them",
    "a misspelt fixture beside another": "can request has that name\n      try: did you mean power?",
    "two markers": "test_inner.py::test_confused is marked hardware and mixed",
    "a fixture": "test_inner.py::test_confused is marked no_hardware and asks for dutlink, power",
    "a second argument": "the marker hardware does not know 'one'",
    "no such value": "the marker hardware does not know tags=7",
}
READS = "def test_reads(power): power.read()\n"
MISSPELT = """
import pytest

@pytest.mark.hardware(tags="one")
def test_right(power): power.read()
@pytest.mark.hardware(tags="on")
def test_tag(power): power.read()
@pytest.mark.hardware(tag="one")
def test_keyword(power): power.read()
@pytest.mark.mixed(tags="tow")
def test_mixed(power): power.read()
"""
ADDS_LATE = program(__file__, "markers_adds_late")
CONTRADICTIONS = {
    "a second argument": "@pytest.mark.hardware('one')\ndef test_confused(): pass",
    "no such value": "@pytest.mark.hardware(tags=7)\ndef test_confused(): pass",
    "a misspelt marker": "@pytest.mark.hardwear\ndef test_confused(): pass",
    "a fixture with a swapped pair": "def test_confused(pwoer): pass",
    "a fixture that does not exist": "def test_confused(rack_fan): pass",
    "a misspelt fixture": "def test_confused(powr): pass",
    "a misspelt fixture beside another": "def test_confused(pwer, console): pass",
    "two markers": "@pytest.mark.hardware\n@pytest.mark.mixed\ndef test_confused(): pass",
    "a fixture": "@pytest.mark.no_hardware\ndef test_confused(power): pass",
}


@pytest.mark.parametrize(
    ("marker", "selected"),
    [
        (
            "hardware",
            {"test_asks_for_a_fixture", "test_asks_for_a_fixture_of_a_fixture", "test_says_hardware"},
        ),
        ("mixed", {"test_says_mixed"}),
        ("no_hardware", {"test_says_nothing", "test_says_no_hardware"}),
    ],
)
def test_kind_of_returns_one_kind_for_each_test(marker: str, selected: set[str], run_suite: RunSuite) -> None:
    inner = run_suite(ONE_OF_EACH, "-m", marker, "--strict-markers", "--hil-boards=sim:1")

    assert set(inner.outcomes) == selected


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n1", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
def test_test_with_contradicting_markers_is_an_error_and_the_others_run(
    contradiction: str, workers: str, run_suite: RunSuite
) -> None:
    inner = run_suite(
        f"import pytest\n{CONTRADICTIONS[contradiction]}\ndef test_other(): pass",
        workers,
        "--hil-boards=none",
    )

    assert inner.results() == {"test_confused": "error", "test_other": "passed"}
    assert inner.status == pytest.ExitCode.TESTS_FAILED
    assert CONTRADICTION_TOLD[contradiction] in inner.text


@pytest.mark.parametrize("fixture", ["powr", "pwoer", "rack_fan"])
@pytest.mark.parametrize("selected", ["hardware or mixed", "no_hardware"])
def test_test_with_an_unknown_fixture_fails_whichever_kind_is_selected(
    selected: str, fixture: str, run_suite: RunSuite
) -> None:
    inner = run_suite(f"def test_confused({fixture}): pass", "-m", selected, "--hil-boards=none")

    assert inner.results() == {"test_confused": "error"}


@pytest.mark.parametrize("marker", ["skip", "skipif(True, reason='no fan')"])
def test_test_with_an_unknown_fixture_that_a_marker_skips_is_skipped(
    marker: str, run_suite: RunSuite
) -> None:
    source = f"import pytest\n@pytest.mark.{marker}\ndef test_needs_a_plugin(rack_fan): pass"

    inner = run_suite(source, "--hil-boards=none")

    assert inner.results() == {"test_needs_a_plugin": "skipped"}


GIVES_ARGUMENTS = """
import pytest
@pytest.fixture
def doubled(number): return 2 * number
@pytest.mark.parametrize("number", [1])
def test_of_a_fixture_of_a_parameter(doubled): pass
@pytest.mark.parametrize("doubled", [1])
def test_of_a_parameter(doubled, request): pass
"""


def test_argument_that_a_parameter_gives_is_no_unknown_fixture(run_suite: RunSuite) -> None:
    inner = run_suite(GIVES_ARGUMENTS, "--hil-boards=none")

    assert set(inner.results().values()) == {"passed"}, inner.text


def test_list_of_available_fixtures_does_not_have_the_one_of_columns(run_suite: RunSuite) -> None:
    inner = run_suite("def test_it(request): request.getfixturevalue('pwoer')", "--hil-boards=none")

    assert "available fixtures: " in inner.text
    assert "_hil_column" not in inner.text


@pytest.mark.thorough
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_words_that_no_board_knows_are_errors_that_name_the_nearest(
    workers: str, run_suite: RunSuite, one_and_two: str
) -> None:
    inner = run_suite(MISSPELT, workers, f"--hil-boards={one_and_two}", "--hil-lab=none")

    assert inner.results() == {
        "test_right": "passed",
        "test_tag": "error",
        "test_keyword": "error",
        "test_mixed": "error",
    }, inner.text
    assert "did you mean tags?" in inner.text
    assert "did you mean one?" in inner.text
    assert "did you mean two?" in inner.text


@pytest.mark.thorough
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_misspelt_board_of_a_run_is_a_usage_error(
    workers: str, run_suite: RunSuite, one_and_two: str, serials: list[str]
) -> None:
    digit = "0" if serials[0][0] != "0" else "1"
    misspelt = digit + serials[0][1:]

    inner = run_suite(
        READS, workers, f"--hil-boards={one_and_two}", "--hil-lab=none", f"--hil-board={misspelt}"
    )

    assert inner.status == pytest.ExitCode.USAGE_ERROR, inner.text
    assert f"did you mean {serials[0]}?" in inner.text


@pytest.mark.thorough
def test_words_of_a_lab_file_are_known_though_their_board_is_absent(
    run_suite: RunSuite, one_and_two: str, pytester: pytest.Pytester
) -> None:
    pytester.path.joinpath("lab.toml").write_text(
        '[place.far]\nserial = "0badcafe"\ntags = ["absent"]\n', encoding="utf-8"
    )
    source = "import pytest\n@pytest.mark.hardware(tags='absent')\ndef test_it(power): power.read()\n"

    inner = run_suite(source, f"--hil-boards={one_and_two}", "--hil-lab=lab.toml")
    by_board = run_suite(READS, f"--hil-boards={one_and_two}", "--hil-lab=lab.toml", "--hil-board=far")

    assert inner.results() == {"test_it": "skipped"}, inner.text
    assert by_board.results() == {"test_reads": "skipped"}, by_board.text


def test_items_that_another_plugin_adds_late_get_their_kind(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(adder=ADDS_LATE)

    inner = run_suite("def test_it(): pass", "-p", "adder", "--hil-boards=none")

    assert (inner.results(), inner.status) == (
        {"test_it": "passed", "late": "passed", "sneaks": "error"},
        pytest.ExitCode.TESTS_FAILED,
    ), inner.text


@pytest.mark.thorough
def test_doctest_that_gets_a_board_is_a_hardware_test(run_suite: RunSuite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(documented='"""\n>>> getfixture("power").read().amps < 99\nTrue\n"""\n')

    inner = run_suite("", "--doctest-modules", "--hil-boards=sim:1", "documented.py")

    assert "hardware: 1 planned, 1 ran" in inner.text, inner.text


@pytest.mark.thorough
def test_two_copies_of_the_conftest_are_one_run(
    run_suite: RunSuite, pytester: pytest.Pytester, pytestconfig: pytest.Config
) -> None:
    text = pytestconfig.rootpath.joinpath("hil", "plugin.py").read_text(encoding="utf-8")  # as it was
    for name in ("a", "b"):
        pytester.mkdir(name)
        pytester.path.joinpath(name, "conftest.py").write_text(text, encoding="utf-8")
        pytester.path.joinpath(name, f"test_{name}.py").write_text(
            f"def test_{name}(power): power.read()\n", encoding="utf-8"
        )
    pytester.path.joinpath("conftest.py").unlink()

    inner = run_suite("", "--hil-boards=sim:1", "a", "b", "test_inner.py")

    assert inner.results() == {"test_a": "passed", "test_b": "passed"}, inner.text
    assert "hardware: 2 planned, 2 ran" in inner.text


@pytest.mark.thorough
def test_markers_option_explains_the_markers(run_suite: RunSuite) -> None:
    inner = run_suite("", "--markers")

    assert (
        "@pytest.mark.mixed: uses a board if there is one, else a simulated one; never skipped" in inner.text
    )


def test_board_fixture_that_a_no_hardware_test_requests_at_run_time_is_refused(run_suite: RunSuite) -> None:
    source = """
def test_1_sneaks(request):
    request.getfixturevalue("power")

def test_2_is_honest(power):
    power.read()
"""

    inner = run_suite(source, "--hil-boards=sim:1")

    assert "UsbBlockedError" in inner.outcomes["test_1_sneaks"].message
    assert inner.outcomes["test_2_is_honest"].result == "passed"
