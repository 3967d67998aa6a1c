"""Tell images that take turns from images that replace each other: v2.0, v2.1 beside a rescue image.

Images that take turns have levels of their own, as boards have. An image that replaces another one belongs to
its line, so that a step which comes with it is a step, and no other level.
"""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["image_lines"]

_TURNS: Final = 4
"""Two images that change places this often take turns; a way back and forth is an experiment of a night."""


class _OfImage(Protocol):
    @property
    def run(self) -> int: ...

    @property
    def image(self) -> str: ...


def image_lines(points: Sequence[_OfImage]) -> dict[str, str]:
    """Return for each image the newest image of its line; one line for all if no images take turns.

    Args:
        points: The points of a number, by run.
    """
    runs: dict[str, list[int]] = {}
    for point in points:
        of_image = runs.setdefault(point.image, [])
        if not of_image or of_image[-1] != point.run:
            of_image.append(point.run)
    lines: list[list[str]] = []
    for image, own in runs.items():  # by the first run of each
        fitting = [line for line in lines if not any(_take_turns(own, runs[other]) for other in line)]
        if fitting:
            max(fitting, key=lambda line: (_alike(image, line[-1]), runs[line[-1]][-1])).append(image)
        else:
            lines.append([image])
    return {image: line[-1] for line in lines for image in line}


def _take_turns(some: Sequence[int], others: Sequence[int]) -> bool:
    """Return True if two images are in the same runs, or change places often."""
    shared = set(some) & set(others)
    if 2 * len(shared) >= min(len(some), len(others)):
        return True
    order = sorted([(run, 0) for run in some] + [(run, 1) for run in others])
    alone = [image for run, image in order if run not in shared]
    return sum(a != b for a, b in pairwise(alone)) >= _TURNS


def _alike(image: str, other: str) -> int:
    """Return how many characters two names begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(image, other, strict=False)))
