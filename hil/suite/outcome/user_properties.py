"""Facts of a test as user properties, which JUnit keeps and xdist carries to the controller."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hil.suite.columns.column import column_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest

    from hil.boards.acquired import AcquiredBoard
    from hil.evidence.used_board import UsedBoard
    from hil.flash.results import Flashed
    from hil.suite.markers import Kind
    from hil.suite.outcome.verdicts import Judgement

__all__ = [
    "CAUGHT",
    "LATE_LOSS",
    "boards_of",
    "describe_board",
    "describe_caught",
    "describe_image",
    "describe_judgement",
    "describe_late_loss",
    "describe_partners",
    "describe_power",
    "describe_requests",
    "describe_test",
    "describe_untested",
    "facts_of",
    "forget_judgement",
    "has_verdict",
    "note",
    "overrule_judgement",
]

CAUGHT = "hil_caught"
LATE_LOSS = "hil_lost_in_teardown"

_ROLES = "hil_boards"
"""The role and serial number of each board of a test with partners."""

_PARTNERS = "hil_partners"
"""The serial number and firmware of each partner."""

_PLACES = "hil_places"
"""The name of each of its boards, as a JSON list; empty names for boards without one."""

_VERDICT = "hil_verdict"
_JUDGEMENT = (_VERDICT, "hil_remedy", "hil_headline", "hil_reason")


def boards_of(facts: Mapping[str, str]) -> list[UsedBoard]:
    """Return the boards in the properties of a test, the first one first; none if it had no board."""
    if "hil_board" not in facts:
        return []
    from hil.evidence.used_board import UsedBoard  # noqa: PLC0415 - only for runs with boards

    boards = [(facts["hil_board"], facts["hil_firmware"])]
    boards += [(serial, rest) for serial, _, rest in (one.partition("=") for one in _words(facts, _PARTNERS))]
    names = json.loads(facts.get(_PLACES, "[]")) or [facts.get("hil_place", "")]
    roles = [one.partition("=")[0] for one in _words(facts, _ROLES)]
    simulated, blank = facts["hil_board_is"] == "simulated", [""] * len(boards)
    return [
        UsedBoard(serial, firmware, name, simulated, role)
        for (serial, firmware), name, role in zip(boards, names + blank, roles + blank, strict=False)
    ]


def _words(facts: Mapping[str, str], name: str) -> list[str]:
    return facts.get(name, "").split()


def facts_of(report: pytest.TestReport) -> dict[str, str]:
    """Return the properties of a report that are of hil."""
    return {name: str(value) for name, value in report.user_properties if name.startswith("hil_")}


def has_verdict(report: pytest.TestReport) -> bool:
    """Return True if a report says that hardware was proven to be unusable."""
    return any(name == _VERDICT for name, _ in report.user_properties)


def describe_test(item: pytest.Item, kind: Kind) -> None:
    """Note the kind of a test, and its board or kind of board if it runs on each."""
    column = column_of(item)
    note(item, {"hil_kind": kind.value} | ({"hil_column": column.name} if column else {}))


def describe_board(item: pytest.Item, held: AcquiredBoard, place: str) -> None:
    """Note the board of a test, and its name if that is not empty."""
    used = "simulated" if held.simulated else "real"
    facts = {"hil_board": held.board.serial, "hil_firmware": str(held.board.firmware), "hil_board_is": used}
    note(item, facts | ({"hil_place": place} if place else {}))


def describe_partners(
    item: pytest.Item, boards: Mapping[str | int, AcquiredBoard], names: Sequence[str]
) -> None:
    """Note the partners of a test, and role and name of each of its boards."""
    several = {_ROLES, _PARTNERS, _PLACES}
    item.user_properties[:] = [one for one in item.user_properties if one[0] not in several]
    if len(boards) > 1:
        roles = [f"{role}={held.board.serial}" for role, held in boards.items()]
        further = [f"{held.board.serial}={held.board.firmware}" for held in list(boards.values())[1:]]
        noted = {_ROLES: " ".join(roles), _PARTNERS: " ".join(further)}
        note(item, noted | ({_PLACES: json.dumps(names)} if any(names) else {}))


def describe_image(item: pytest.Item, boards: Iterable[tuple[Flashed | None, Flashed | None]]) -> None:
    """Note the image that a test ran with; of several boards, each image that one of them had.

    Args:
        item: The test.
        boards: For each board the run's image, with which the test began, and the image that was flashed
            last, by this test or one before it; None if there is none.
    """
    told = [
        ", then ".join(dict.fromkeys(one.image for one in images if one is not None)) for images in boards
    ]
    if images := " and ".join(dict.fromkeys(filter(None, told))):
        note(item, {"hil_image": images})


def describe_power(item: pytest.Item, mean_watts: float, mean_watts_on: float | None) -> None:
    """Note the mean power of the DUT in watts: over the whole test, and while it was on if that is known."""
    on = {} if mean_watts_on is None else {"hil_mean_watts_on": f"{mean_watts_on:.3f}"}
    note(item, {"hil_mean_watts": f"{mean_watts:.3f}"} | on)


def describe_requests(item: pytest.Item, requests: int) -> None:
    """Note how many requests a test has sent to its board."""
    item.user_properties[:] = [one for one in item.user_properties if one[0] not in {"hil_unasked", CAUGHT}]
    note(item, {"hil_requests": str(requests)})


def describe_caught(item: pytest.Item, errors: Sequence[BaseException]) -> None:
    """Note the errors of its board that a test caught before it passed."""
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        note(item, {CAUGHT: str(errors[0]).splitlines()[0] + more})


def describe_untested(item: pytest.Item, report: pytest.TestReport) -> None:
    """Note that a test passed without a request to its board."""
    note(item, {"hil_unasked": "yes"})
    report.user_properties[:] = item.user_properties


def describe_judgement(item: pytest.Item, judgement: Judgement, headline: str) -> None:
    """Note why a test's hardware could not be used."""
    facts = (judgement.verdict.value, judgement.remedy, headline, judgement.reason)
    note(item, dict(zip(_JUDGEMENT, facts, strict=True)))


def describe_late_loss(item: pytest.Item, judgement: Judgement) -> None:
    """Note that a test's board was lost in its tear-down, unless an earlier phase has noted the loss."""
    if not any(name in _JUDGEMENT for name, _ in item.user_properties):
        note(item, {LATE_LOSS: judgement.reason})


def forget_judgement(item: pytest.Item) -> None:
    """Forget the verdict of an earlier attempt: it says nothing about the attempt that begins."""
    kept = [one for one in item.user_properties if one[0] not in {*_JUDGEMENT, LATE_LOSS}]
    if len(kept) < len(item.user_properties):
        item.user_properties[:] = kept


def overrule_judgement(item: pytest.Item, report: pytest.TestReport) -> None:
    """Forget the verdict of an attempt after one that failed on a board: the test was tested, and failed."""
    forget_judgement(item)
    report.user_properties[:] = [one for one in report.user_properties if one[0] not in _JUDGEMENT]


def note(item: pytest.Item, facts: dict[str, str]) -> None:
    """Set user properties; they replace those of the same name."""
    kept = [(name, value) for name, value in item.user_properties if name not in facts]
    item.user_properties[:] = [*kept, *facts.items()]
