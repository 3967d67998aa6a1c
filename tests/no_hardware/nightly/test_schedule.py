"""A night runs once each night across clock changes; a night that did not start is red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zoneinfo
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.evidence.records import RunRecord
from hil.history.store import History
from hil.nightly.last_night import describe_last_night
from hil.nightly.run_folder import LATE
from hil.nightly.schedule import SAFE_TIME, TimeOfDay, last_due, moved_nights, next_nights, summer_time_words
from hil.nightly.systemd import Units
from hil.nightly.units import Schedule, timer

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_S = 86_400.0
NOW_S = datetime(2027, 1, 5, 8, 0, tzinfo=UTC).timestamp()


@contextmanager
def time_zone(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


def noon(zone: str, day: str) -> float:
    return datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("zone", "at", "saturday", "nights"),
    [
        ("Europe/Berlin", "02:00", "2027-03-27", ["03-28 03:00", "03-29 02:00", "03-30 02:00"]),
        ("Europe/Berlin", "02:30", "2027-03-27", ["03-28 03:30", "03-29 02:30", "03-30 02:30"]),
        ("Europe/Berlin", "02:30", "2027-10-30", ["10-31 02:30", "11-01 02:30", "11-02 02:30"]),
        ("America/New_York", "02:00", "2027-03-13", ["03-14 03:00", "03-15 02:00", "03-16 02:00"]),
        ("America/New_York", "01:30", "2027-11-06", ["11-07 01:30", "11-08 01:30", "11-09 01:30"]),
        ("America/Havana", "00:30", "2027-03-13", ["03-14 01:30", "03-15 00:30", "03-16 00:30"]),
        ("Australia/Lord_Howe", "02:00", "2027-10-02", ["10-03 02:30", "10-04 02:00", "10-05 02:00"]),
        ("Australia/Lord_Howe", "01:45", "2027-04-03", ["04-04 01:45", "04-05 01:45", "04-06 01:45"]),
        ("America/Sao_Paulo", "00:00", "2018-11-03", ["11-04 01:00", "11-05 00:00", "11-06 00:00"]),
        ("America/Sao_Paulo", "23:30", "2018-02-16", ["02-16 23:30", "02-17 23:30", "02-18 23:30"]),
        ("UTC", "02:00", "2027-03-27", ["03-28 02:00", "03-29 02:00", "03-30 02:00"]),
    ],
)
def test_next_nights_come_once_in_every_zone(zone: str, at: str, saturday: str, nights: list[str]) -> None:
    with time_zone(zone):
        told = next_nights(TimeOfDay.parse(at), now_s=noon(zone, saturday))

    assert [f"{night:%m-%d %H:%M}" for night in told] == nights


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize(
    ("zone", "at", "saturday", "night"),
    [
        ("Europe/Berlin", "02:00", "2027-03-27", "2027-03-28 03:00"),
        ("Europe/Berlin", "02:30", "2027-10-30", "2027-10-31 02:30"),
        ("America/New_York", "02:00", "2027-03-13", "2027-03-14 03:00"),
        ("America/New_York", "01:30", "2027-11-06", "2027-11-07 01:30"),
    ],
)
def test_timer_starts_each_night_once(zone: str, at: str, saturday: str, night: str) -> None:
    with time_zone(zone):
        moved = moved_nights(TimeOfDay.parse(at), noon(zone, saturday))
        also = tuple(one.begins for one in moved if one.is_skipped)
    text = timer(Schedule(TimeOfDay.parse(at), Path("/srv"), Path("/bin/true"), also=also))
    begin, elapses = noon(zone, saturday), set()
    for line in text.splitlines():
        if line.startswith("OnCalendar="):
            said = subprocess.run(
                ["systemd-analyze", "calendar", "--iterations=2", f"--base-time=@{begin:.0f}", line[11:]],
                env={**os.environ, "TZ": zone, "LC_ALL": "C"},
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            elapses |= {word for word in said.splitlines() if night[:10] in word and "(in UTC)" not in word}

    (only,) = [one for one in elapses if "Normalized" not in one and "Original" not in one]
    assert night in only


def test_safe_time_exists_once_in_every_zone() -> None:
    hour, minute = map(int, SAFE_TIME.split(":"))
    first = datetime(2026, 11, 1, hour, minute, tzinfo=UTC)
    days = [first + timedelta(days=days) for days in range(366)]
    for name in sorted(zoneinfo.available_timezones()):
        zone = zoneinfo.ZoneInfo(name)
        for day in days:
            wanted = day.replace(tzinfo=zone)
            assert wanted.utcoffset() == wanted.replace(fold=1).utcoffset(), (name, wanted)


@pytest.mark.parametrize(
    ("zone", "at", "words"),
    [
        ("Europe/Berlin", "02:00", "does not exist on"),
        ("America/New_York", "01:30", "comes twice on"),
        ("UTC", "02:00", "others skip it when summer time"),
        ("Europe/Berlin", "04:30", ""),
    ],
)
def test_summer_time_words_describe_the_change(zone: str, at: str, words: str) -> None:
    with time_zone(zone):
        time_of_day = TimeOfDay.parse(at)
        told = summer_time_words(time_of_day, list(moved_nights(time_of_day, NOW_S)))

    assert words in told
    assert bool(words) == bool(told)


def test_last_due_is_right_across_a_clock_change() -> None:
    with time_zone("Europe/Berlin"):
        due_s = last_due(TimeOfDay(2, 30), noon("Europe/Berlin", "2027-03-28"))

        assert datetime.fromtimestamp(due_s, UTC).isoformat() == "2027-03-28T01:30:00+00:00"


def test_units_time_of_day_reads_the_installed_timer(tmp_path: Path) -> None:
    units = Units("hil-nightly", user=True, folder=tmp_path)
    assert units.time_of_day() is None

    units.timer.write_text(timer(Schedule(TimeOfDay(4, 30), Path("/srv"), Path("/bin/true"))), "utf-8")

    assert units.time_of_day() == TimeOfDay(4, 30)


def ran(folder: Path, *began_s: float) -> None:
    with History(folder / "history.db") as history:
        for number, at in enumerate(began_s):
            run = RunRecord(f"k{number}", at, kind="nightly", ended_s=at + 3600, exit_status=0)
            history.begin_run(run)


@pytest.mark.parametrize(
    ("began_ago_s", "due_ago_s", "status"),
    [
        (3.5 * 3600, 3.5 * 3600, 0),  # it began when it was due
        (3.5 * 3600 - 600, 3.5 * 3600, 0),  # a host that was slow
        (27.5 * 3600, 3.5 * 3600, LATE),  # the night before is the last
        (24 * 3600, 300, 0),  # it may still begin
        (5 * 3600, 3.5 * 3600, LATE),  # a run that was typed in the evening is not the night's
    ],
)
def test_last_night_that_did_not_start_is_red(
    tmp_path: Path, began_ago_s: float, due_ago_s: float, status: int
) -> None:
    ran(tmp_path, NOW_S - began_ago_s)

    told, code = describe_last_night(tmp_path, NOW_S, NOW_S - due_ago_s)

    assert (code, "did not begin" in told.get("late", "")) == (status, status == LATE)


@pytest.mark.parametrize(("began_ago_s", "status"), [(25 * 3600, 0), (27 * 3600, LATE)])
def test_last_night_without_a_timer_is_late_after_a_day(
    tmp_path: Path, began_ago_s: float, status: int
) -> None:
    ran(tmp_path, NOW_S - began_ago_s)

    assert describe_last_night(tmp_path, NOW_S)[1] == status


def test_last_night_ignores_a_run_in_the_future(tmp_path: Path) -> None:
    ran(tmp_path, NOW_S - 2.5 * DAY_S, NOW_S + 400 * DAY_S)

    told, code = describe_last_night(tmp_path, NOW_S)

    assert (code, told["last_night"][:10]) == (LATE, "2027-01-02")
    assert "in the future" in told["ahead"][0]


@pytest.mark.parametrize(
    ("past", "shown"), [(True, "dated in the future, and does not count"), (False, "clock is right")]
)
def test_hil_history_names_runs_in_the_future(tmp_path: Path, past: bool, shown: str) -> None:
    now_s = time.time()
    ran(tmp_path, *([now_s - DAY_S] * past), now_s + 400 * DAY_S)

    said = subprocess.run(
        [sys.executable, "-m", "hil.cli.main", "history", "--history", str(tmp_path / "history.db")],
        capture_output=True,
        check=True,
        text=True,
    )

    assert shown in said.stdout + said.stderr
