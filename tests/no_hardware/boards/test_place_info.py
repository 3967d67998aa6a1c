"""What two lab files say of one place."""

from __future__ import annotations

import json

from hil.boards.place_info import PlaceInfo

THERE = PlaceInfo("leave", ("hot", "EXT4"), {"power_on": "p1,w5", "power_off": "p0"}, simulated=True)


def test_what_this_machine_does_not_say_is_as_the_other_has_it() -> None:
    assert PlaceInfo().before(THERE) == THERE


def test_what_this_machine_says_goes_first_and_its_patterns_are_added() -> None:
    here = PlaceInfo("off", ("EXT4", "oops"), {"power_on": "p1"})

    both = here.before(THERE)

    assert both == PlaceInfo("off", ("hot", "EXT4", "oops"), {"power_on": "p1", "power_off": "p0"}, True)


def test_facts_survive_the_way_to_another_machine() -> None:
    assert PlaceInfo.from_data(json.loads(json.dumps(THERE.as_data()))) == THERE


def test_an_exporter_that_does_not_know_all_facts_yet_says_nothing_by_that() -> None:
    assert PlaceInfo.from_data({"safe": "off", "later": 1}) == PlaceInfo("off")
