"""`hil nightly install`: units that systemd accepts, a cron line that a shell understands, no wrong time."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hil as package
from hil.errors import UsageError
from hil.nightly import systemd
from hil.nightly.schedule import TimeOfDay
from hil.nightly.systemd import Units
from hil.nightly.units import Schedule, cron_line, service, timer
from tests.support.other_user import MALLORY, folder_for_everybody, only_root

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGING = Path(__file__).parents[3] / "packaging" / "systemd"
AT = TimeOfDay(4, 30)
NEEDS_SYSTEMD = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")

NO_SYSTEMD = pytest.mark.skipif(systemd.is_running(), reason="systemd runs this host")


def hil(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ: Mapping[str, str] = {**os.environ, "HOME": str(folder / "home"), **more}
    command = [sys.executable, "-m", "hil.cli.main", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, check=False, text=True, timeout=60
    )


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone whose path needs escapes in a unit file."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = tmp_path / "a clone, 100% \"mine\" $HOME 'x'"
    folder.mkdir()
    (folder / "conftest.py").touch()
    return folder


@pytest.mark.parametrize("text", ["02:00", "2:00", "00:00", "23:59"])
def test_time_of_day_parses(text: str) -> None:
    assert str(TimeOfDay.parse(text)) == f"{text:0>5}"


@given(
    st.text(max_size=8)
    | st.sampled_from(["24:00", "12:60", "2", "02:00:00", "-1:00", "2:0", "\uff12:00", " 02:00"])
)
def test_time_of_day_refuses_other_text(text: str) -> None:
    hour, colon, minute = text.partition(":")
    digits = all(part.isascii() and part.isdigit() for part in (hour, minute))
    is_time = digits and colon and len(hour) < 3 and len(minute) == 2 and int(hour) < 24 and int(minute) < 60

    with nullcontext() if is_time else pytest.raises(UsageError, match="from 00:00 to 23:59"):
        assert str(TimeOfDay.parse(text)) == f"{text:0>5}"


@NEEDS_SYSTEMD
def test_units_of_any_path_are_accepted_by_systemd(clone: Path) -> None:
    ran = hil(clone, "nightly", "install", "--at", "02:00", "--user", "--", "-k", 'a "b" $c %d')

    folder = clone / "home" / ".config" / "systemd" / "user"
    checked = subprocess.run(
        ["systemd-analyze", "--user", "verify", *map(str, sorted(folder.iterdir()))],
        env={**os.environ, "XDG_RUNTIME_DIR": "/tmp"},  # noqa: S108 - nothing is put there
        capture_output=True,
        check=False,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert (checked.returncode, "hil-nightly" in checked.stderr) == (0, False), checked.stderr
    text = (folder / "hil-nightly.service").read_text("utf-8")
    assert f"WorkingDirectory={str(clone).replace('%', '%%')}\n" in text
    assert f"ExecStart={sys.executable} -m hil.cli.main nightly run" in text
    assert f"ExecStopPost={sys.executable} -m hil.cli.main safe --all\n" in text
    assert "OnCalendar=*-*-* 02:00:00\n" in (folder / "hil-nightly.timer").read_text("utf-8")


@NEEDS_SYSTEMD
def test_install_copies_the_shells_settings(clone: Path) -> None:
    ran = hil(
        *(clone, "nightly", "install", "--at", "04:30", "--user"),
        HIL_LAB="labs/%one.toml",
        HIL_LOCK_DIR="/srv/locks $x",
        HIL_BOARDS="sim:2",
        HIL_REPORT="elsewhere",
        HIL_LEASE="of this shell alone",
    )

    text = (clone / "home/.config/systemd/user/hil-nightly.service").read_text("utf-8")
    where = str(clone).replace("%", "%%").replace('"', r"\"")
    assert ran.returncode == 0, ran.stderr
    assert f'Environment="HIL_LAB={where}/labs/%%one.toml"\n' in text
    assert 'Environment="HIL_LOCK_DIR=/srv/locks $x"\n' in text
    assert 'Environment="HIL_BOARDS=sim:2"\n' in text
    assert "HIL_LEASE" not in text
    assert "left_out: HIL_REPORT" in ran.stdout


@NEEDS_SYSTEMD
def test_cron_line_has_the_shells_settings() -> None:
    schedule = Schedule(AT, Path("/srv"), Path("/bin/true"), environment={"HIL_LAB": "/a lab"})

    assert cron_line(schedule).count("HIL_LAB='/a lab' /bin/true -m hil.cli.main") == 2


@NEEDS_SYSTEMD
def test_install_prints_the_next_nights(clone: Path) -> None:
    ran = hil(clone, "--json", "nightly", "install", "--at", "02:00", "--user", TZ="Europe/Berlin")

    told = json.loads(ran.stdout)
    text = (clone / "home/.config/systemd/user/hil-nightly.timer").read_text("utf-8")
    assert (len(told["next"]), all(" CE" in night for night in told["next"])) == (3, True)
    assert "02:00 does not exist on" in told["summer_time"]
    assert "OnCalendar=2027-03-28 03:00:00\n" in text


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs this host")
def test_install_without_systemd_prints_a_cron_line(clone: Path) -> None:
    ran = hil(clone, "nightly", "install", "--at", "2:05", "--user")

    assert ran.returncode == 0, ran.stderr
    assert "cron: 5 2 * * * cd " in ran.stdout


def test_cron_line_runs_in_the_clones_folder(clone: Path) -> None:
    python = clone / "python that tells"
    python.write_text('#!/bin/sh\npwd >>"$TOLD"; echo "$@" >>"$TOLD"\n', "utf-8")
    python.chmod(0o755)
    told = clone.parent / "told"

    line = cron_line(Schedule(AT, clone, python, arguments=("--", "-k", "100%")))
    assert "%" not in line.replace(r"\%", "")  # cron takes a bare one for the end of the line
    command = line.split(" ", 5)[5].replace(r"\%", "%")
    subprocess.run(["/bin/sh", "-c", command], env={**os.environ, "TOLD": str(told)}, check=True)

    assert told.read_text("utf-8").splitlines() == [
        *(str(clone), "-m hil.cli.main nightly run -- -k 100%"),
        *(str(clone), "-m hil.cli.main safe --all"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--at", "25:00"), "is no time of day"),
        (("--at", "02:00", "--memory", "lots"), "--memory 4G"),
        (("--at", "02:00", "--limit", "8"), "--limit 8h"),
        (("--at", "02:00", "--name", "../x"), "cannot be a night's name"),
        (("--at", "02:00", "--keep", "0"), "keep"),
        ((), "--at"),
    ],
)
def test_install_refuses_nonsense_and_writes_nothing(
    clone: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = hil(clone, "nightly", "install", "--user", *arguments)

    assert (ran.returncode, said in ran.stderr, (clone / "home").exists()) == (2, True, False), ran.stderr


def test_install_refuses_a_folder_without_tests(tmp_path: Path) -> None:
    ran = hil(tmp_path, "nightly", "install", "--at", "02:00", "--user")

    assert (ran.returncode, "there are no tests in" in ran.stderr) == (2, True)


def test_install_keeps_the_units_of_another_clone(tmp_path: Path) -> None:
    units = Units("hil-nightly", user=True, folder=tmp_path / "units")
    units.write(Schedule(AT, Path("/srv/one"), Path("/bin/true")))

    with pytest.raises(UsageError, match="another clone's nights"):
        units.write(Schedule(AT, Path("/srv/two"), Path("/bin/true")))
    units.write(Schedule(TimeOfDay(3, 0), Path("/srv/one"), Path("/bin/true")))

    assert "03:00:00" in units.timer.read_text("utf-8")


def test_uninstall_removes_the_units(tmp_path: Path) -> None:
    units = Units("hil-nightly", user=True, folder=tmp_path)
    units.write(Schedule(AT, Path("/srv/one"), Path("/bin/true")))

    assert units.remove() == [str(units.timer), str(units.service)]
    assert list(tmp_path.iterdir()) == []


def test_uninstall_without_units_says_so(tmp_path: Path) -> None:
    ran = hil(tmp_path, "nightly", "uninstall", "--user", XDG_CONFIG_HOME=str(tmp_path))

    assert (ran.returncode, "was installed under this name" in ran.stderr) == (2, True)


def test_packaged_units_equal_those_of_install() -> None:
    clone = Path("/srv/hil")
    python = clone / ".venv" / "bin" / "python"
    schedule = Schedule(AT, clone, python, user="hil", groups=("plugdev",))

    assert (PACKAGING / "hil-nightly.service").read_text("utf-8") == service(schedule)
    assert (PACKAGING / "hil-nightly.timer").read_text("utf-8") == timer(schedule)


def test_schedule_refuses_a_path_with_a_line_break() -> None:
    with pytest.raises(UsageError, match="control character"):
        Schedule(AT, Path("/srv/a\nExecStart=/bin/evil"), Path("/bin/true"))


def test_cron_line_is_split_correctly_by_a_shell() -> None:
    line = cron_line(Schedule(AT, Path("/a b"), Path("/p y")))

    assert shlex.split(line.split(" ", 5)[5])[:6] == ["cd", "/a b", "&&", "/p y", "-m", "hil.cli.main"]


FOREIGN = "# Written by a person.\n[Unit]\nDescription=Backup\n"


@pytest.mark.parametrize(
    "name",
    [
        *("nightly", "backup", "hil", "hil-safe", "hil-nightlyx", "hil-nightly.timer", "hil-nightly-"),
        *("hil-nightly--x", "hil-nightly-\uff11", "hil-nightly-a/b", "hil-nightly-../x", "hil-nightly@1"),
        *("hil-nightly-a\n", "hil-nightly-" + "x" * 60),
    ],
)
def test_system_units_refuse_other_names(name: str) -> None:
    with pytest.raises(UsageError, match="night's name"):
        Units.of(name, user=False)


@pytest.mark.parametrize(
    "name", ["hil-safe", "hil-nightly.timer", "-x", "a/b", "../x", "x@1", "a\n", "x" * 80]
)
def test_user_units_refuse_names_of_hil_and_malformed_ones(name: str) -> None:
    with pytest.raises(UsageError, match="night's name"):
        Units.of(name, user=True)


def test_user_units_accept_any_name_without_a_system_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.nightly.systemd._SYSTEM_FOLDERS", (tmp_path,))
    (tmp_path / "user").mkdir()
    (tmp_path / "user/pipewire.service").touch()

    assert Units.of("rack", user=True, environ={"HOME": "/home/ada"}).name == "rack"
    with pytest.raises(UsageError, match="night's name"):
        Units.of("pipewire", user=True)


@pytest.mark.parametrize("name", ["hil-nightly", "hil-nightly-2", "hil-nightly-Rack_2"])
def test_units_accept_names_of_nights(name: str) -> None:
    assert Units.of(name, user=True, environ={"HOME": "/home/ada"}).name == name


@pytest.mark.parametrize("kind", ["service", "timer"])
@pytest.mark.parametrize("there", ["a file", "a link to a file", "a link to nothing", "a folder", "a pipe"])
@pytest.mark.parametrize("act", ["write", "remove"])
def test_units_keep_foreign_files(tmp_path: Path, kind: str, there: str, act: str) -> None:
    units = Units("hil-nightly", user=True, folder=tmp_path / "units")
    units.folder.mkdir()
    (tmp_path / "backup").write_text(FOREIGN)
    path, other = (units.service, units.timer) if kind == "service" else (units.timer, units.service)
    other.write_text(service(Schedule(AT, tmp_path, Path("/usr/bin/python3"))))
    if there == "a file":
        path.write_text(FOREIGN)
    elif there == "a folder":
        path.mkdir()
    elif there == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / ("backup" if there == "a link to a file" else "nothing"))
    before = {one: (one.lstat().st_ino, one.lstat().st_mtime_ns) for one in (path, other)}

    with pytest.raises(UsageError, match=f"hil-nightly.{kind} exists and is not a night's"):
        units.remove() if act == "remove" else units.write(Schedule(AT, tmp_path, Path("/usr/bin/python3")))

    assert {one: (one.lstat().st_ino, one.lstat().st_mtime_ns) for one in (path, other)} == before
    assert (tmp_path / "backup").read_text() == FOREIGN
    assert not (tmp_path / "nothing").exists()


def test_units_are_overwritten_and_removed(tmp_path: Path) -> None:
    units = Units("hil-nightly", user=True, folder=tmp_path / "units")
    schedule = Schedule(AT, tmp_path, Path("/usr/bin/python3"))

    units.write(schedule)
    units.write(schedule)

    assert units.remove() == [str(units.timer), str(units.service)]
    assert not list(units.folder.iterdir())


@only_root
@pytest.mark.parametrize("whose", ["clone", "units"])
def test_install_for_root_refuses_other_users_files(whose: str) -> None:
    with folder_for_everybody() as common:
        for folder in (common / "clone", common / "home" / ".config"):
            folder.mkdir(parents=True)
        (common / "clone" / "conftest.py").touch()
        other = common / "clone" if whose == "clone" else common / "home" / ".config"
        os.chown(other, MALLORY, MALLORY)

        ran = hil(
            common / "clone", "nightly", "install", "--user", "--at", "02:00", HOME=str(common / "home")
        )

        assert (ran.returncode, f"{other} belongs to" in ran.stderr) == (2, True)
        assert not list((common / "home" / ".config").iterdir())


@only_root
def test_install_as_root_has_no_folder_that_others_write_tested_as_root() -> None:
    with folder_for_everybody() as common:
        clone = common / "clone"
        clone.mkdir()
        (clone / "conftest.py").touch()
        clone.chmod(0o777)

        ran = hil(clone, "nightly", "install", "--at", "02:00")

    assert (ran.returncode, "may be written by others" in ran.stderr) == (2, True)


@only_root
def test_install_as_root_has_no_hil_of_another_user_run_as_root() -> None:
    with folder_for_everybody() as common:
        copy = common / "copy"
        shutil.copytree(
            Path(package.__file__).parent, copy / "hil", ignore=shutil.ignore_patterns("__pycache__")
        )
        (common / "clone").mkdir()
        (common / "clone" / "conftest.py").touch()
        os.chown(copy / "hil", MALLORY, MALLORY)

        where = {"HOME": str(common), "PYTHONPATH": str(copy)}
        ran = hil(common / "clone", "nightly", "install", "--user", "--at", "02:00", **where)

    assert (ran.returncode, f"{copy / 'hil'} belongs to" in ran.stderr) == (2, True), ran.stderr


@NO_SYSTEMD
@pytest.mark.parametrize(
    ("crontab", "told"),
    [
        pytest.param(
            "30 4 * * * cd /srv/hil && python -m hil.cli.main nightly run >/dev/null",
            "by your crontab, as systemd does not run this host: 30 4 * * * cd",
            id="a line that install printed",
        ),
        pytest.param("0 3 * * * cd /srv/hil && nox -s nightly", "nox -s nightly", id="nox"),
        pytest.param("# 0 3 * * * hil nightly run", "your crontab starts none", id="a comment"),
        pytest.param(
            "0 3 * * * backup", "nothing starts nights: systemd does not run this host", id="another line"
        ),
        pytest.param("", "hil nightly install --at 04:30 prints a line", id="an empty crontab"),
    ],
)
def test_status_without_systemd_tells_what_starts_the_nights(clone: Path, crontab: str, told: str) -> None:
    program = clone / "crontab"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{crontab}\nEND\n", encoding="utf-8")
    program.chmod(0o755)

    ran = hil(clone, "--json", "nightly", "status", PATH=f"{clone}:{os.environ['PATH']}")

    assert told in json.loads(ran.stdout)["schedule"]


@NO_SYSTEMD
def test_status_without_systemd_names_a_timer_that_nothing_reads(clone: Path) -> None:
    units = Units.of("hil-nightly", user=True, environ={"HOME": str(clone / "home")})
    units.folder.mkdir(parents=True)
    units.timer.touch()

    ran = hil(clone, "--json", "nightly", "status", "--user", PATH="/nonexistent")

    said = json.loads(ran.stdout)["schedule"]
    assert said.startswith(
        f"nothing starts nights: systemd, which would read {units.timer}, does not run this host"
    )
    assert "crontab is not installed" in said
