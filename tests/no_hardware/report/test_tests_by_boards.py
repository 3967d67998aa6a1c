"""The page of tests by boards, for runs in which tests run on each board."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hil.evidence.used_board import UsedBoard
from hil.report.run_pages import build_run
from hil.report.tests_by_boards import build_tests_by_boards
from tests.support.made_up import HOSTILE, a_test, attempt, keep_run

if TYPE_CHECKING:
    from pathlib import Path

    from hil.evidence.records import RecordedTest


def on(column: str, name: str, outcome: str = "passed", board: str = "0df10031") -> RecordedTest:
    test = a_test(f"tests/test_dut.py::{name}[{column}]", attempt(outcome), board=board)
    return replace(test, column=column)


def with_image(image: str, board: str, name: str, outcome: str = "passed") -> RecordedTest:
    column = "-".join(filter(None, (board, image)))
    return replace(on(column, name, outcome, board=f"5100000{board[-1:]}"), image_label=image)


def pair(image: str, outcome: str = "passed") -> RecordedTest:
    """A test that uses both boards; its id has the image alone."""
    test = with_image(image, "", "test_pair", outcome)
    boards = [UsedBoard(f"5100000{number}", "0.09", f"sim-{number}", simulated=True) for number in (1, 2)]
    return replace(test, board=boards[0], partners=boards[1:])


IMAGES = [
    with_image(image, board, name, "failed" if (image, name) == ("v2.1", "test_net") else "passed")
    for name in ("test_net", "test_boot")
    for image in ("v2.0", "v2.1")
    for board in ("sim-1", "sim-2")
]


def test_tests_by_boards_has_the_boards_within_each_image() -> None:
    table = build_tests_by_boards(IMAGES)

    assert table is not None
    assert table.images == [("v2.0", 2), ("v2.1", 2)]
    assert [(one.image, one.board) for one in table.columns] == [
        *(("v2.0", "sim-1"), ("v2.0", "sim-2"), ("v2.1", "sim-1"), ("v2.1", "sim-2"))
    ]


def test_tests_by_boards_shows_a_test_with_two_boards_in_the_column_of_each() -> None:
    table = build_tests_by_boards([*IMAGES, pair("v2.0"), pair("v2.1", "failed")])

    assert table is not None
    row = next(row for row in table.rows if row.name == "test_pair")
    assert [cell.outcome for cell in row.cells if cell] == ["passed", "passed", "failed", "failed"]
    assert len(row.tests) == 2
    assert [str(column) for column in table.columns] == ["3 ran", "3 ran", "2 of 3 failed", "2 of 3 failed"]


def test_tests_by_boards_of_images_alone_has_a_column_for_each_image() -> None:
    table = build_tests_by_boards([with_image(image, "", "test_boot") for image in ("v2.0", "v2.1")])

    assert table is not None
    assert [(one.image, one.name) for one in table.columns] == [("v2.0", "any board"), ("v2.1", "any board")]


def test_tests_by_boards_calls_a_weak_finding_weak() -> None:
    table = build_tests_by_boards(IMAGES)

    assert table is not None
    ((test, words),) = table.hints
    assert (table.suspicions, test) == ([], "tests/test_dut.py::test_net")
    assert words == (
        "failed with image v2.1 alone so far, 2 of 2 there, 0 of 2 elsewhere: not enough runs to say whether "
        "the image or the test is at fault (4 times as many with the same outcome are enough)"
    )


def test_tests_by_boards_says_first_that_a_test_fails_everywhere() -> None:
    broken = [
        replace(with_image(one.image_label, f"sim-{one.board.serial[-1]}", "test_version", "failed"))
        for one in IMAGES[:4]
        if one.board
    ]
    table = build_tests_by_boards([*IMAGES, *broken])

    assert table is not None
    assert [(one.value, str(one)) for one in table.suspicions[:1]] == [
        (
            "tests/test_dut.py::test_version",
            "fails on both boards with both images: look at the test, or at what it tests",
        )
    ]


def test_tests_by_boards_does_not_call_everywhere_what_passed_once_or_ran_on_one_board() -> None:
    table = build_tests_by_boards(
        [
            *(on("a", "test_flaky", "failed"), on("b", "test_flaky")),
            *(on("a", "test_one", "failed"), on("b", "test_one", "skipped", board="")),
        ]
    )

    assert table is not None
    assert table.suspicions == []


def test_page_of_tests_by_boards_heads_its_columns_with_image_and_board(tmp_path: Path) -> None:
    build_run(keep_run(tmp_path, *IMAGES, pair("v2.0")))

    page = (tmp_path / "boards.html").read_text()
    assert "on 2 boards with 2 images" in page
    assert '<th scope="colgroup" colspan="2" class="first">image v2.1</th>' in page
    assert 'aria-label="test_net on sim-2 with image v2.1: failed"' in page


def matrix(tests: int = 8) -> list[RecordedTest]:
    """Tests on four boards; test_0 fails on all of them."""
    places = [f"jetson-{number}" for number in (1, 2, 3, 10)]
    return [
        on(place, f"test_{number}", "passed" if number else "failed")
        for number in range(tests)
        for place in places
    ]


def test_tests_by_boards_has_a_row_for_each_test_and_a_column_for_each_board() -> None:
    table = build_tests_by_boards([*matrix(3), a_test("t::plain")])

    assert table is not None
    assert [column.board for column in table.columns] == ["jetson-1", "jetson-2", "jetson-3", "jetson-10"]
    assert [row.nodeid for row in table.rows] == [f"tests/test_dut.py::test_{number}" for number in range(3)]


def test_tests_by_boards_shows_tests_that_need_a_look_first() -> None:
    table = build_tests_by_boards([on("a", "test_good"), on("a", "test_bad", "failed")])

    assert table is not None
    assert [row.name for row in table.rows] == ["test_bad", "test_good"]


def test_tests_by_boards_has_no_cell_where_a_test_does_not_run() -> None:
    table = build_tests_by_boards([on("a", "test_1"), on("b", "test_1"), on("b", "test_2")])

    assert table is not None
    assert [[cell is not None for cell in row.cells] for row in table.rows] == [[True, True], [False, True]]


def test_tests_by_boards_counts_no_test_without_its_board() -> None:
    table = build_tests_by_boards([on("a", "test_1", "skipped", board=""), on("a", "test_2", "failed")])

    assert table is not None
    assert [str(column) for column in table.columns] == ["1 of 1 failed, 1 did not run"]


def test_tests_by_boards_names_a_test_that_fails_on_all_boards() -> None:
    table = build_tests_by_boards(matrix())

    assert table is not None
    assert [str(one).partition(",")[0] for one in table.suspicions] == ["fails wherever it runs: 4 of 4"]


def test_tests_by_boards_names_a_board_that_fails_its_tests() -> None:
    tests = [
        on(f"b-{board}", f"test_{number}", "failed" if board == 1 else "passed")
        for number in range(8)
        for board in range(4)
    ]
    table = build_tests_by_boards(tests)

    assert table is not None
    assert [(one.factor, one.value) for one in table.suspicions] == [("board", "b-1")]
    assert "seen in one run, another one tells whether the board" in str(table.suspicions[0])


def test_tests_by_boards_names_an_image_with_which_tests_fail() -> None:
    tests = [
        replace(on(f"b-{board}-{image}", f"test_{number}", outcome), image_label=image)
        for number in range(5)
        for board in range(2)
        for image, outcome in (("v2.0", "passed"), ("v2.1", "failed"))
    ]
    table = build_tests_by_boards(tests)

    assert table is not None
    assert [(one.factor, one.value) for one in table.suspicions] == [("image", "v2.1")]


def test_run_without_such_tests_has_no_page_of_them(tmp_path: Path) -> None:
    build_run(keep_run(tmp_path, a_test("t::one")))

    assert not (tmp_path / "boards.html").exists()
    assert "Tests by boards" not in (tmp_path / "index.html").read_text()


def test_run_with_such_tests_links_to_their_page_and_says_first_what_failures_follow(tmp_path: Path) -> None:
    build_run(keep_run(tmp_path, *matrix()))
    page, first = ((tmp_path / name).read_text() for name in ("boards.html", "index.html"))

    assert 'href="boards.html"' in first
    assert first.index("fails wherever it runs: 4 of 4") < first.index("test_0[jetson-1]")
    assert page.count("tests/tests-test_dut.py") == 32
    assert "fails wherever it runs: 4 of 4" in page


def test_run_page_and_summary_list_a_test_that_fails_everywhere_once(tmp_path: Path) -> None:
    failed = [
        replace(one, attempts=[attempt("failed", "no luck")]) if one.outcome == "failed" else one
        for one in matrix()
    ]
    build_run(keep_run(tmp_path, *failed))

    first = (tmp_path / "index.html").read_text().partition("<h2>Look at these first")[2].partition("<h2>")[0]
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert (first.count("<li"), first.count("no luck")) == (1, 1)
    assert first.count("tests/tests-test_dut.py-test_0") == 4, "a link for each board"
    assert summary.count("no luck") == 1


def test_run_page_tells_of_a_board_that_fails_its_tests(tmp_path: Path) -> None:
    tests = [
        on(f"jetson-{board}", f"test_{number}", "failed" if board == 3 else "passed", board=f"510{board}")
        for number in range(8)
        for board in range(4)
    ]
    build_run(keep_run(tmp_path, *tests))

    first = (tmp_path / "index.html").read_text().partition("<h2>Look at these first")[2].partition("<h2>")[0]
    assert first.count("<li") == 1 + 8


def test_page_of_tests_by_boards_shows_hostile_names_harmlessly(tmp_path: Path) -> None:
    build_run(keep_run(tmp_path, on(HOSTILE, "test_1", "failed"), on("a", HOSTILE)))

    page = (tmp_path / "boards.html").read_text()
    assert (page.count("<script>"), page.count("<img")) == (1, 0)
