"""What is noted of a test's image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hil.suite.outcome.user_properties import describe_image

pytestmark = pytest.mark.no_hardware
DUT, RESCUE = (SimpleNamespace(image=name) for name in ("dut.img", "rescue.img"))


@pytest.mark.parametrize(
    ("boards", "noted"),
    [
        ([(None, None)], []),
        ([(DUT, DUT)], ["dut.img"]),
        ([(DUT, RESCUE)], ["dut.img, then rescue.img"]),
        ([(DUT, DUT), (DUT, DUT)], ["dut.img"]),
        ([(DUT, DUT), (RESCUE, RESCUE)], ["dut.img and rescue.img"]),
    ],
)
def test_describe_image_notes_the_images_of_all_boards(boards: Any, noted: list[str]) -> None:
    item: Any = SimpleNamespace(user_properties=[])

    describe_image(item, boards)

    assert [value for _, value in item.user_properties] == noted
