"""A random suite, the faults of its boards and how it is run: plain data that can be printed and shrunk."""

from __future__ import annotations

from dataclasses import dataclass

TAGS = (("one", "both"), ("two", "both"))
"""The tags of the two boards."""

NEVER = 1e9
"""A fault of this length lasts until the run is over."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """A fixture that rests on a board.

    Attributes:
        name: Its own, or that of a fixture of the folder above, which it overrides.
        scope: As pytest names it.
        rests_on: The fixture that it asks for.
        folder: The folder whose conftest defines it; empty: the suite's.
        dynamic: It asks with `getfixturevalue`, not by an argument.
        params: How many parameters; 0: none.
        is_async: An async generator.
        setup: Steps before the yield.
        teardown: Steps after it.
    """

    name: str
    scope: str = "function"
    rests_on: str = "dutlink"
    folder: str = ""
    dynamic: bool = False
    params: int = 0
    is_async: bool = False
    setup: tuple[str, ...] = ()
    teardown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Test:
    """A test.

    Attributes:
        name: Unique in the suite.
        style: `function`, `method`, `unittest` or `async`.
        folder: Where its module is; empty: the suite's folder.
        uses: The fixtures that it asks for; none: a test without a board.
        dynamic: It asks with `getfixturevalue`.
        marked: It has the marker `hardware`, which a test needs whose arguments do not lead to a board.
        tags: Of the board that it wants; empty: any board.
        params: How many parameters; 0: none.
        steps: What its body does, with the first of `uses`.
        observes_only: Its marker says that it never asks its board for anything.
        mistake: `tag` (no board has it), `argument` (the marker takes none of that name), `contradiction`
            (marked `no_hardware`, and asks for a board); empty: none.
    """

    __test__ = False

    name: str
    style: str = "function"
    folder: str = ""
    uses: tuple[str, ...] = ("dutlink",)
    dynamic: bool = False
    marked: bool = False
    tags: str = ""
    params: int = 0
    steps: tuple[str, ...] = ()
    observes_only: bool = False
    mistake: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to a board.

    Attributes:
        kind: `unplug`, `hang`, `deny`, `busy`, `stall` or `line_error`.
        board: 0 or 1.
        at: The point at which it begins: `start` of the run, `TEST:before`, `TEST:body`, `TEST:STEP`,
            `TEST:after`, `FIXTURE:setup`, `FIXTURE:teardown`, or `request:N`, the N-th to the board.
        lasts_s: Seconds after which it ends; for a stall or a line error the number of requests that fail.
    """

    kind: str
    board: int
    at: str
    lasts_s: float = NEVER


@dataclass(frozen=True, slots=True)
class Suite:
    """A random suite.

    Attributes:
        fixtures: Those of the suite and of its sub-folder.
        tests: In the order of their definition.
        faults: What happens to the boards.
        workers: 0 for a plain run, or the number after `-n`.
        reruns: The number after `--reruns`.
        repeats: The number after `--hil-repeat`.
        require: The run has `--hil-require`.
        limit_s: The time limit of each test.
    """

    fixtures: tuple[Fixture, ...] = ()
    tests: tuple[Test, ...] = ()
    faults: tuple[Fault, ...] = ()
    workers: int = 0
    reruns: int = 0
    repeats: int = 0
    require: bool = False
    limit_s: int = 30
