"""An image with which many tests fail is one finding, and its tests are not told again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.evidence.records import RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.analysis import Analysis, analyze
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from hil.report.highlights import headline
from hil.report.night_pages import build_nights
from tests.support.made_up import BEGAN_S, DAY_S, tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.evidence.records import RecordedTest

BOARDS = {"left": "0df10035", "right": "0df10036"}
OLD = "rack-v2.0.img (8388608 bytes, 0123456789ab)"
BUILDS = [f"rack-v2.1.img (8388608 bytes, {digit * 12})" for digit in "abcdef"]


def night_of(
    night: int, fails: Callable[[int, int, str], bool], tests: int, boards: list[str], more: list[str]
) -> Iterator[RecordedTest]:
    """Each test on each board with each image, as `--hil-each board,image` runs them."""
    for test in range(tests):
        for place in boards:
            for name, image in (
                ("v2.0", OLD),
                ("v2.1", BUILDS[night]),
                *((one, f"{one}.img") for one in more),
            ):
                yield tried(
                    f"tests/test_dut.py::test_{test}[{place}-{name}]",
                    AttemptOutcome.FAILED if fails(night, test, name) else AttemptOutcome.PASSED,
                    board=UsedBoard(BOARDS[place], "0.09", place),
                    column=f"{place}-{name}",
                    image=image,
                )


def keep(  # noqa: PLR0913 - those after the first three have a default
    history: History,
    nights: int,
    fails: Callable[[int, int, str], bool],
    tests: int = 6,
    boards: str = "left right",
    *,
    more: str = "",
) -> Window:
    for night in range(nights):
        began_s = BEGAN_S + night * DAY_S
        run = RunRecord(f"n{night}", began_s, kind="nightly", commit=f"{night:040x}")
        history.begin_run(run)
        history.add(run.key, night_of(night, fails, tests, boards.split(), more.split()))
        history.close_run(run.key, began_s + 60, 1)
    return Window(history, 60)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "history.db") as kept:
        yield kept


def analysis_of(window: Window) -> Analysis:
    return analyze(window, now_s=window.runs[-1].began_s)


def test_bad_image_is_one_finding_before_all_others(history: History) -> None:
    found = analysis_of(keep(history, 5, lambda night, _, name: name == "v2.1" and night >= 3))

    (image,) = found.images
    assert str(image).startswith(f"all 6 tests fail with image {BUILDS[4]} on both boards, since ")
    assert "2 runs (2 builds): 24 of 24 there, 0 of 96 with other images" in str(image)
    assert found.lines()[2:4] == ["Images with which tests fail that pass with others", f"  {image}"]
    assert not any("test_" in line for line in found.lines())


def test_bad_image_of_one_run_is_new(history: History) -> None:
    found = analysis_of(keep(history, 1, lambda _, __, name: name == "v2.1", tests=11, boards="left"))

    assert str(found.images[0]).startswith(
        f"all 11 tests fail with image {BUILDS[0]} on left (0df10035), new: "
    )
    assert "seen in one run, another one tells" in str(found.images[0])


def test_bad_image_stays_a_finding_after_many_broken_builds(history: History) -> None:
    found = analysis_of(keep(history, 6, lambda _, __, name: name == "v2.1"))

    assert [(one.image, one.builds) for one in found.images] == [(BUILDS[5], 6)]


def test_bad_image_names_its_tests_if_others_pass_with_it(history: History) -> None:
    found = analysis_of(keep(history, 3, lambda _, test, name: name == "v2.1" and test < 4))

    assert str(found.images[0]).startswith("4 of 6 tests fail with image ")
    assert [line for line in found.lines() if "test_" in line] == [
        f"  tests/test_dut.py::test_{test}" for test in range(4)
    ]


def test_bad_image_does_not_hide_a_test_that_fails_with_all_images(history: History) -> None:
    found = analysis_of(
        keep(history, 3, lambda night, test, name: name == "v2.1" or (test == 5 and night == 2))
    )

    assert len(found.images[0].tests) == 5
    assert {one.everywhere.value for one in found.failing if one.everywhere} == {"tests/test_dut.py::test_5"}


def test_two_bad_images_are_two_findings(history: History) -> None:
    found = analysis_of(keep(history, 2, lambda _, __, name: name != "v2.0", more="v3"))

    assert ([one.image for one in found.images], found.failing) == ([BUILDS[1], "v3.img"], [])


def test_image_with_which_two_tests_fail_is_no_finding(history: History) -> None:
    found = analysis_of(keep(history, 5, lambda _, test, name: name == "v2.1" and test < 2))

    assert (found.images, len(found.failing)) == ([], 4)


def test_night_pages_name_the_bad_image_and_count_its_tests_once(history: History, tmp_path: Path) -> None:
    window = keep(history, 2, lambda _, __, name: name == "v2.1")

    page = build_nights(window, tmp_path / "pages").page.read_text("utf-8")

    assert headline(analysis_of(window)) == "6 tests fail, 6 with a bad image alone"
    assert "all 6 tests fail with image rack-v2.1.img" in page
    assert "<h2>New failures" not in page


def test_failing_names_the_image_of_the_newest_run(history: History) -> None:
    found = analysis_of(
        keep(history, 6, lambda night, test, name: name == "v2.1" and night >= 3 and test == 0)
    )

    left, _ = map(str, found.failing)
    assert f"fails with image {BUILDS[3]}, now with image {BUILDS[5]}; " in left
    assert f"fails with image {BUILDS[5]} (3 builds) only: 6 of 6 there, 0 of 18 elsewhere" in left
    assert "look at the image" in left


def test_test_that_fails_with_all_images_is_not_said_to_have_passed(history: History) -> None:
    found = analysis_of(
        keep(
            history,
            4,
            lambda night, test, name: test == 0 and (night == 3 or (night == 2 and name == "v2.1")),
        )
    )

    (said,) = [line for line in found.lines() if "test_0" in line]
    assert ": fails, new on all, since " in said
    assert "2 runs on some; fails on both boards with both images: look at the test" in said
    assert "passed at" not in said


def test_headline_counts_a_test_that_fails_everywhere_once(history: History) -> None:
    found = analysis_of(keep(history, 2, lambda night, test, _: test == 0 and night == 1))

    assert headline(found) == "1 test fails, 1 new"
