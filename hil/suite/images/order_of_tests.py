"""The order of tests by board and image: a board is acquired once, and gets each of its images once.

With `-n`, `hil.suite.xdist.flash_order` decides in which order tests are sent to the boards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.boards.requirements import key_on
from hil.suite.columns.column import column_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

    from hil.suite.images.run_images import ImageKeys

__all__ = ["put_in_order"]


def put_in_order(items: list[pytest.Item], images_of: Callable[[pytest.Item], ImageKeys]) -> None:
    """Put the tests of a board together, and of these the tests with one image; keep all other places.

    So a board is acquired once, and each of its images is flashed once. If other tests run with an image
    on any board, or on several at once, the tests of all boards with one image are run together instead:
    first those that need it on all their boards.

    Args:
        items: The collected tests.
        images_of: Returns boards, each with a key of the image that a test would have there.
    """
    keys = {place: key for place, item in enumerate(items) if (key := _group_of(item, images_of(item)))}
    groups = list(dict.fromkeys(keys.values()))
    boards = _by_first(board for board, _ in groups)
    # images that boards have at the same time for a test are neighbours, so no board goes back to one
    several_first = sorted((some for _, some in groups), key=lambda some: not some[1:])
    images = _by_first(image for some in several_first for image in some)

    def order(group: tuple[str, tuple[str, ...]]) -> tuple[int, ...]:
        board, some = group
        first = min((images[image] for image in some), default=-1)
        return (*((first, len(some)) if "" in boards else ()), boards[board])

    ordered = _by_first(sorted(groups, key=order))
    together = sorted(keys, key=lambda place: ordered[keys[place]])
    for place, item in zip(keys, [items[place] for place in together], strict=True):
        items[place] = item


def _group_of(item: pytest.Item, keys: ImageKeys) -> tuple[str, tuple[str, ...]] | None:
    """Return the board of a test by name, and the images that it may have, by which board it gets.

    It is None if any board with any image will do.
    """
    column = column_of(item)
    if not keys:
        return (column.group, ()) if column else None
    own = [key_on(keys, board) for board in column.boards] if column else []
    images = tuple(dict.fromkeys(filter(None, own or dict(keys).values())))
    return (column.group if column else "", images) if column or images else None


def _by_first(keys: Iterable[Any]) -> dict[Any, int]:
    """Return a number for each key, in the order in which the keys come first."""
    return {key: number for number, key in enumerate(dict.fromkeys(keys))}
