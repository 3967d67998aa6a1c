"""The image that a test runs with, by the words that choose it, and the count of flashes that tests need."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from hil.boards.requirements import BoardInfo
from hil.images.choice import ImageChoice
from hil.images.source import ImageSource
from hil.lab.config.lab import Lab
from hil.lab.config.place import Place
from hil.suite.columns.column import PARAMETER, Column
from hil.suite.columns.listed_boards import ListedBoard
from hil.suite.images.flash_counts import FlashCounts
from hil.suite.images.run_images import RunImages
from hil.suite.markers import KIND, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.boards.acquired import AcquiredBoard

pytestmark = pytest.mark.no_hardware
SERIAL = "5a1c0e01"
IMAGE, OTHER = (ImageSource(Path(f"/images/{name}.img")) for name in ("dut", "other"))
BOARDS = [ListedBoard("rack-1", SERIAL, ""), ListedBoard("rack-2", "5a1c0e02", "")]


def _images(
    *choices: ImageChoice, boards: Sequence[ListedBoard] = BOARDS, lab: Lab | None = None
) -> tuple[RunImages, FlashCounts]:
    flashes = FlashCounts()
    options: Any = SimpleNamespace(images=choices, lab=lab or Lab(), image_limit_s=1.0)
    return RunImages(options, lambda: boards, _info, print, flashes), flashes


def _info(_held: AcquiredBoard) -> BoardInfo:
    return BoardInfo(SERIAL, "rack-1", exporter="lab0")


def _test(column: Column | None = None, **marker: Any) -> pytest.Item:
    skip = [pytest.mark.skip.mark] if marker.pop("skip", False) else []
    marks = [pytest.mark.hardware(**marker).mark, *skip]
    item = SimpleNamespace(
        **{KIND: Kind.HARDWARE},
        stash={},
        nodeid="test_it",
        own_markers=marks,
        parent=None,
        iter_markers=lambda name="hardware": (mark for mark in marks if mark.name == name),
        callspec=SimpleNamespace(params={PARAMETER: column} if column else {}),
        get_closest_marker=lambda name: next((mark for mark in marks if mark.name == name), None),
    )
    return cast("pytest.Item", item)


def _planned(images: tuple[RunImages, FlashCounts], *tests: pytest.Item) -> int:
    images[0].plan(tests)
    return images[1].planned


def test_image_is_chosen_by_the_name_of_the_exporter() -> None:
    images, _ = _images(
        ImageChoice(IMAGE, "lab0"), ImageChoice(OTHER), boards=[ListedBoard("lab0", "lab0", "")]
    )
    held = cast("AcquiredBoard", SimpleNamespace(is_fallback=False, board=SimpleNamespace(serial=SERIAL)))

    chosen = images._wanted(_test(), held)

    assert chosen == IMAGE


def test_key_tells_addresses_apart_that_differ_in_their_query() -> None:
    addresses = [
        ImageSource(url=f"https://images.lan/dut.img?build={build}", sha256="0" * 64) for build in (1, 2)
    ]
    images, _ = _images()

    keys = {images.keys_of(_test(Column("", frozenset(), image=image))) for image in addresses}

    assert len(keys) == 2


def test_keys_of_a_test_are_those_of_the_images_that_its_boards_have() -> None:
    images, _ = _images(ImageChoice(IMAGE, "rack-1"), ImageChoice(OTHER, "rack-2"))
    own = [images.keys_of(_test(Column("", frozenset(), image=image))) for image in (IMAGE, OTHER)]

    keys = images.keys_of(_test(boards=2))

    assert keys == ((SERIAL, dict(own[0])[""]), ("5a1c0e02", dict(own[1])[""]))


def test_keys_of_tests_with_one_and_with_two_boards_are_equal_for_one_image() -> None:
    images, _ = _images(ImageChoice(IMAGE))

    keys = {images.keys_of(test) for test in (_test(boards=2), _test(Column("", frozenset(), image=IMAGE)))}

    assert len(keys) == 1


def test_planned_flashes_leave_out_tests_that_are_skipped() -> None:
    assert _planned(_images(ImageChoice(IMAGE)), _test(skip=True)) == 0


@pytest.mark.parametrize(("tests", "planned"), [(0, 0), (1, 1), (2, 2), (5, 2)])
def test_planned_flashes_are_at_most_one_for_each_board_or_test(tests: int, planned: int) -> None:
    assert _planned(_images(ImageChoice(IMAGE)), *[_test()] * tests) == planned


def test_planned_flashes_count_each_board_of_a_test() -> None:
    assert _planned(_images(ImageChoice(IMAGE)), _test(boards=2)) == 2


def test_planned_flashes_count_a_board_once_for_tests_of_one_and_of_two_boards() -> None:
    columns = [Column(one.name, frozenset({one.board}), image=IMAGE) for one in BOARDS]

    assert _planned(_images(ImageChoice(IMAGE)), *map(_test, columns), _test(boards=2)) == 2


def test_planned_flashes_are_certain_if_each_test_has_its_board() -> None:
    images, flashes = _images(ImageChoice(IMAGE), ImageChoice(OTHER))
    matrix = [Column("", frozenset({one.board}), image=image) for one in BOARDS for image in (IMAGE, OTHER)]

    images.plan([_test(column) for column in [*matrix, *matrix]])

    assert (flashes.planned, flashes.certain) == (4, 4)


def test_planned_flashes_are_certain_if_a_test_uses_all_boards() -> None:
    images, flashes = _images(ImageChoice(IMAGE))

    images.plan([_test(boards=2), _test()])

    assert (flashes.planned, flashes.certain) == (2, 2)


def test_planned_flashes_are_not_certain_if_tests_may_run_on_any_board() -> None:
    images, flashes = _images(ImageChoice(IMAGE))

    images.plan([_test(), _test()])

    assert (flashes.planned, flashes.certain) == (2, 0)


def test_planned_flashes_count_the_image_of_a_place() -> None:
    assert _planned(_images(ImageChoice(IMAGE, "rack-1")), _test()) == 1


def test_planned_flashes_count_the_image_of_the_lab_file(tmp_path: Path) -> None:
    (tmp_path / "dut.img").touch()
    lab = Lab(tmp_path / "lab.toml", {"rack-1": Place(serial=SERIAL, image="dut.img")})

    assert _planned(_images(lab=lab), _test()) == 1


def test_planned_flashes_count_the_only_board_of_a_run_that_lists_none() -> None:
    assert _planned(_images(ImageChoice(IMAGE), boards=[]), _test(), _test()) == 1


def test_planned_flashes_do_not_list_boards_for_a_run_without_images() -> None:
    options: Any = SimpleNamespace(images=(), lab=Lab(), image_limit_s=1.0)
    flashes = FlashCounts()

    RunImages(options, lambda: pytest.fail("boards were listed"), _info, print, flashes).plan([_test()])

    assert flashes.planned == 0
