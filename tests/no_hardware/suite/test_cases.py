"""The cases of old test conftests, each with a board and without, in one process and in two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.support.suite_run import InnerRun, RunSuite

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess

pytest_plugins = "pytester"

INNER = Path(__file__).with_name("inner_cases.py")
WITHOUT_A_BOARD = {
    "test_01_n_passes": "passed",
    "test_02_n_cannot_be_repeated": "passed",
    "test_03_n_takes_more_than_half_of_its_time": "passed",
    "test_04_n_misspelt_file": "failed",
    "test_05_n_misspelt_program": "failed",
    "test_06_n_usb_error[error0]": "failed",
    "test_06_n_usb_error[error1]": "failed",
    "test_07_n_other_os_error[error0]": "failed",
    "test_07_n_other_os_error[error1]": "failed",
    "test_08_n_expected_failure": "xfailed",
    "test_09_n_unittest": "failed",
    "test_10_n_assertion": "failed",
    "test_11_n_passes_when_repeated": "passed",
    "test_12_n_error_in_setup": "error",
}
ABSENT = WITHOUT_A_BOARD | {
    "test_13_h_not_found_in_the_body": "skipped",
    "test_14_h_not_found_in_setup": "skipped",
    "test_15_h_not_found_in_teardown": "error",
    "test_16_h_misspelt_data_file": "skipped",
    "test_17_h_stall": "skipped",
    "test_17_h_stall_from_the_board": "skipped",
    "test_22_h_assertion": "failed",
    "test_23_h_error_on_the_second_run_only": "passed",
    "test_h_with_a_fixture": "skipped",
    "test_h_expected_failure": "skipped",
    "test_h_unittest": "skipped",
    "test_h_passes_when_repeated": "skipped",
}
PRESENT = WITHOUT_A_BOARD | {
    "test_15_h_not_found_in_teardown": "error",
    "test_16_h_misspelt_data_file": "failed",
    "test_17_h_stall": "failed",
    "test_17_h_stall_from_the_board": "failed",
    "test_18_h_time_out_of_a_board_that_answers": "failed",
    "test_22_h_assertion": "failed",
    "test_23_h_error_on_the_second_run_only": "passed",
    "test_h_with_a_fixture": "passed",
    "test_h_expected_failure": "xfailed",
    "test_h_unittest": "failed",
    "test_h_passes_when_repeated": "passed",
}
ALONE = ()
IN_TWO = ("-n", "2")
RunCases: TypeAlias = Callable[..., tuple[InnerRun, Counter[str]]]
Runs: TypeAlias = dict[tuple[bool, tuple[str, ...]], tuple[InnerRun, Counter[str]]]


@pytest.fixture(
    params=[
        pytest.param(ALONE, id="alone"),
        pytest.param(IN_TWO, id="in two processes", marks=pytest.mark.thorough),
    ]
)
def workers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def runs() -> Runs:
    """The runs of this module so far, by what was different in them."""
    return {}


@pytest.fixture
def cases(  # noqa: PLR0913, PLR0917 - fixtures
    simulator: SimulatorProcess,
    serial: str,
    run_suite: RunSuite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    runs: Runs,
) -> RunCases:
    """Runs all cases once for each setting, and remembers."""

    def run(*, board: bool, workers: tuple[str, ...]) -> tuple[InnerRun, Counter[str]]:
        key = (board, workers)
        if key not in runs:
            bodies = tmp_path / "bodies.txt"
            monkeypatch.setenv("CASES_BODIES", str(bodies))
            monkeypatch.setenv("CASES_CONTROL", str(simulator.ready["control_port"]))
            if not board:
                simulator.management.fault(serial, "unplug")
            inner = run_suite(
                INNER.read_text(), f"--hil-boards=sim@{simulator.ready['control_port']}", *workers
            )
            runs[key] = inner, Counter(bodies.read_text().split())
        return runs[key]

    return run


@pytest.mark.parametrize(("case", "right"), ABSENT.items())
def test_without_a_board_the_outcome_is_right(
    case: str, right: str, cases: RunCases, workers: tuple[str, ...]
) -> None:
    inner, _ = cases(board=False, workers=workers)

    assert inner.outcomes[case].result == right, inner.text


@pytest.mark.parametrize(("case", "right"), PRESENT.items())
def test_with_a_board_the_outcome_is_right(
    case: str, right: str, cases: RunCases, workers: tuple[str, ...]
) -> None:
    inner, _ = cases(board=True, workers=workers)

    assert inner.outcomes[case].result == right, inner.text


@pytest.mark.parametrize("board", [False, True], ids=["absent", "present"])
def test_each_body_runs_exactly_once(board: bool, cases: RunCases, workers: tuple[str, ...]) -> None:
    _, bodies = cases(board=board, workers=workers)
    parametrized_or_rerun = {"06", "07", "11", "h-flaky"}

    assert {
        name: times for name, times in bodies.items() if times > 1 and name not in parametrized_or_rerun
    } == {}


def test_absent_hardware_is_named_in_the_reason(cases: RunCases, workers: tuple[str, ...]) -> None:
    inner, _ = cases(board=False, workers=workers)

    assert inner.outcomes["test_13_h_not_found_in_the_body"].message.startswith("DUTLink not available: ")
