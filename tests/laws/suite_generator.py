"""Random suites: the same number gives the same suite."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.laws.suite_plan import NEVER, Fault, Fixture, Suite, Test

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCOPES: Final = ("function", "class", "module", "package", "session")
_STEPS: Final = {
    "dutlink": ("on", "off", "read", "pin", "host", "settings"),
    "power": ("on", "off", "read"),
    "pins": ("pin", "float"),
    "storage": ("host", "dut"),
}
_SHORT_LIMIT_S: Final = 5
_WRONG: Final = ("fail", "typo", "usb:32", "usb:19", "usb:110", "usb:5", "fail_once")
_KINDS: Final = ("unplug", "unplug", "hang", "stall", "stall", "busy", "busy", "deny", "line_error")


def generate(seed: int) -> Suite:
    """Return the suite of this seed."""
    return _Generator(random.Random(seed)).suite()  # noqa: S311 - no secrets


class _Generator:
    """Draws one suite."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._fixtures: list[Fixture] = []
        self._override = ""

    def suite(self) -> Suite:
        """Draw it."""
        return self._with_oddities(self._plain_suite())

    def _plain_suite(self) -> Suite:
        """Draw it without oddities; few suites have several workers, which cost most."""
        rng = self._rng
        workers = 2 if rng.random() < 0.25 else 0
        again = rng.choice(("", "", "reruns", "repeats"))
        self._draw_override()
        for number in range(rng.randrange(4)):
            self._fixtures.append(self._fixture(f"fixture_{number}"))
        size = rng.randint(6, 12) if workers else rng.randint(2, 7)
        tests = tuple(self._test(f"test_{number}") for number in range(size))
        faults = tuple(self._fault(tests) for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))))
        return Suite(
            tuple(self._fixtures),
            tests,
            faults,
            workers,
            reruns=int(again == "reruns"),
            repeats=int(again == "repeats"),
            require=rng.random() < 0.2,
        )

    def _with_oddities(self, suite: Suite) -> Suite:
        """Let some tests only observe or start sequences, and one contradict itself or misspell."""
        tests = [
            replace(test, observes_only=not test.steps and not test.tags and self._chance(0.5))
            for test in suite.tests
        ]
        at = self._rng.randrange(len(tests))
        if tests[at].uses and self._chance(0.15):
            mistake = self._rng.choice(("tag", "argument", "contradiction"))
            tags = {"tag": "tow", "argument": tests[at].tags or "one"}.get(mistake, "")
            tests[at] = replace(tests[at], mistake=mistake, tags=tags, observes_only=False)
        if self._chance(0.2):
            tests = [
                replace(test, steps=tuple("start" if step == "on" else step for step in test.steps))
                for test in tests
            ]
        return self._with_a_hang(replace(suite, tests=tuple(tests)))

    def _with_a_hang(self, suite: Suite) -> Suite:
        """Let the tear-down of a fixture hang, now and then, until the time limit ends it."""
        candidates = [fixture for fixture in suite.fixtures if not fixture.is_async]
        if not candidates or not self._chance(0.06):
            return suite
        hangs = self._rng.choice(candidates)
        fixtures = (
            replace(fixture, teardown=("hang",)) if fixture is hangs else fixture
            for fixture in suite.fixtures
        )
        return replace(suite, fixtures=tuple(fixtures), limit_s=_SHORT_LIMIT_S)

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _draw_override(self) -> None:
        """Extend `dutlink` in the sub-folder's conftest, now and then."""
        if self._chance(0.3):
            self._override = self._rng.choice(("function", "session"))
            teardown = self._rng.choice(((), ("read",), ("raise",)))
            override = Fixture(
                "dutlink", self._override, folder="sub", setup=self._steps("dutlink", 1), teardown=teardown
            )
            self._fixtures.append(override)

    def _fixture(self, name: str) -> Fixture:
        """Draw a fixture; what rests on an override of function scope is of function scope, too."""
        folder = self._rng.choice(("", "sub"))
        narrow = self._override == "function" and folder == "sub"
        scope = "function" if narrow else self._rng.choice(_SCOPES)
        base = self._base(folder, scope, narrow=narrow)
        is_async = scope == "function" and self._chance(0.15)
        dynamic = not is_async and not self._has_params(base) and self._chance(0.3)
        return Fixture(
            name,
            scope,
            base,
            folder,
            dynamic=dynamic,
            params=2 if self._chance(0.15) else 0,
            is_async=is_async,
            setup=self._steps(self._noun(base), 1) if self._chance(0.7) else (),
            teardown=self._rng.choice(((), (), self._steps(self._noun(base), 1), ("raise",))),
        )

    def _base(self, folder: str, scope: str, *, narrow: bool) -> str:
        """Choose what a fixture rests on: of no narrower scope, and seen from its folder."""
        if narrow:
            return "dutlink"
        wide = [
            other.name
            for other in self._fixtures
            if other.name != "dutlink"
            and other.folder in ("", folder)
            and _SCOPES.index(other.scope) >= _SCOPES.index(scope)
            and not other.is_async
        ]
        return self._rng.choice([*_STEPS, "dutlink", *wide])

    def _noun(self, name: str) -> str:
        """Return what of the board a fixture hands out."""
        while name not in _STEPS:
            name = next(fixture.rests_on for fixture in self._fixtures if fixture.name == name)
        return name

    def _has_params(self, name: str) -> bool:
        """Return True if the fixture, or one that it rests on, has parameters."""
        fixture = next((fixture for fixture in self._fixtures if fixture.name == name), None)
        return (
            fixture is not None
            and name != "dutlink"
            and (fixture.params > 0 or self._has_params(fixture.rests_on))
        )

    def _shows_board(self, name: str) -> bool:
        """Return True if pytest knows before a test that this fixture leads to a board."""
        if name in _STEPS:
            return True
        fixture = next(fixture for fixture in self._fixtures if fixture.name == name)
        return not fixture.dynamic and self._shows_board(fixture.rests_on)

    def _steps(self, noun: str, most: int) -> tuple[str, ...]:
        return tuple(self._rng.choice(_STEPS[noun]) for _ in range(self._rng.randint(1, most)))

    def _test(self, name: str) -> Test:
        rng = self._rng
        folder = rng.choice(("", "sub"))
        if self._chance(0.15):
            steps = rng.choice(((), ("fail",), ("typo",)))
            return Test(name, rng.choice(("function", "method", "unittest")), folder, (), steps=steps)
        uses = self._uses(folder)
        style = self._style(uses)
        can_ask = style in ("function", "method") and not any(map(self._has_params, uses))
        dynamic = can_ask and self._chance(0.2)
        return Test(
            name,
            style,
            folder,
            uses,
            dynamic=dynamic,
            marked=dynamic or not any(map(self._shows_board, uses)) or self._chance(0.2),
            tags=rng.choice(("", "", "", "one", "two", "both")),
            params=2 if style in ("function", "method", "async") and self._chance(0.1) else 0,
            steps=self._body(self._noun(uses[0])),
        )

    def _uses(self, folder: str) -> tuple[str, ...]:
        """Choose one or two fixtures; below an override of function scope only such as may rest on it."""
        narrow = self._override == "function" and folder == "sub"
        seen = [
            fixture.name
            for fixture in self._fixtures
            if fixture.name != "dutlink"
            and fixture.folder in ("", folder)
            and (not narrow or (fixture.scope == "function" and self._rests_on_dutlink(fixture)))
        ]
        first = self._rng.choice([*(["dutlink"] if narrow else _STEPS), "dutlink", "dutlink", *seen, *seen])
        more = [name for name in seen if name != first and self._chance(0.3)]
        return (first, *more)

    def _rests_on_dutlink(self, fixture: Fixture) -> bool:
        """Return True if it asks for `dutlink` alone, not for a fixture of the root that is wider."""
        if fixture.rests_on == "dutlink":
            return True
        base = next((other for other in self._fixtures if other.name == fixture.rests_on), None)
        return base is not None and base.scope == "function" and self._rests_on_dutlink(base)

    def _style(self, uses: Sequence[str]) -> str:
        if any(fixture.is_async for fixture in self._fixtures if fixture.name in uses):
            return "async"
        if any(map(self._has_params, uses)):
            return self._rng.choice(("function", "method", "async"))
        return self._rng.choice(("function", "function", "method", "unittest", "async"))

    def _body(self, noun: str) -> tuple[str, ...]:
        """Draw a body: some never touch the board, some end wrong, some leave a thread."""
        if self._chance(0.08):
            return ()
        steps = self._steps(noun, 3)
        if self._chance(0.25):
            steps = (*steps, self._rng.choice(_WRONG))
        elif noun in ("dutlink", "power") and self._chance(0.06):
            steps = (*steps, "thread")
        return steps

    def _fault(self, tests: Sequence[Test]) -> Fault:
        rng = self._rng
        kind = rng.choice(_KINDS)
        if kind in ("stall", "line_error"):
            lasts_s = float(rng.choice((1, 1, 2, 30, 1e6)))
        else:
            lasts_s = rng.choice((0.0, 0.3, 1.0, 2.0, NEVER))
        return Fault(kind, rng.randrange(2), self._point(tests), lasts_s)

    def _point(self, tests: Sequence[Test]) -> str:
        rng = self._rng
        chosen = rng.choice(tests)
        points = ["start", f"request:{rng.randrange(60)}", f"{chosen.name}:before", f"{chosen.name}:after"]
        points += [f"{chosen.name}:body"] * 2
        points += [f"{chosen.name}:{number}" for number in range(len(chosen.steps))]
        points += [f"{fixture.name}:{phase}" for fixture in self._fixtures for phase in ("setup", "teardown")]
        return rng.choice(points)
