"""What two lab files say of one place."""

from __future__ import annotations

import json
from pathlib import Path

from hil.boards.place_info import PlaceInfo
from hil.lab.config.lab_file import parse_lab

THERE = PlaceInfo("leave", ("hot", "EXT4"), {"power_on": "p1,w5", "power_off": "p0"}, simulated=True)


def test_merged_over_keeps_the_exporter_s_values_where_this_machine_has_none() -> None:
    assert PlaceInfo().merged_over(THERE) == THERE


def test_merged_over_prefers_this_machine_s_values_and_adds_its_patterns() -> None:
    here = PlaceInfo("off", ("EXT4", "oops"), {"power_on": "p1"})

    both = here.merged_over(THERE)

    assert both == PlaceInfo("off", ("hot", "EXT4", "oops"), {"power_on": "p1", "power_off": "p0"}, True)


def test_merged_over_prefers_a_force_off_that_this_machine_s_file_states() -> None:
    silent = '[place.one]\nserial = "5a1c0e01"\n'
    labs = [parse_lab(Path("lab.toml"), text) for text in (f'{silent}safe = "force-off"\n', silent)]

    policies = [PlaceInfo.of(lab, "5a1c0e01").merged_over(THERE).policy for lab in labs]

    assert policies == ["force-off", "leave"]


def test_place_info_survives_as_data() -> None:
    assert PlaceInfo.from_data(json.loads(json.dumps(THERE.as_data()))) == THERE


def test_from_data_takes_missing_values_for_the_defaults() -> None:
    assert PlaceInfo.from_data({"safe": "off", "later": 1}) == PlaceInfo("off")
