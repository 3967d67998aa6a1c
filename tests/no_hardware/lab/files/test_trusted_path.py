"""Files and folders that other users control: root obeys none, and other users are warned."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.cli.main import run
from hil.errors import UntrustedFileError
from hil.lab.config.lab_file import find_lab, read_lab
from hil.lab.enroll.lab_file_editor import LabFileEditor
from hil.lab.files.trusted_path import why_untrusted
from tests.support.other_user import MALLORY, VICTIM, as_user, folder_for_everybody, only_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = only_root
ROOT = Path(__file__).parents[4]
LEAVE = '[place.rack]\nserial = "0df10035"\nsafe = "leave"\n'


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that everybody may write, with the sticky bit, as /tmp has it."""
    with folder_for_everybody() as folder:
        yield folder


def write(folder: Path, text: str = LEAVE) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "lab.toml"
    file.write_text(text)
    return file


def other_owner(common: Path) -> Path:
    file = write(common / "project")
    os.chown(file, MALLORY, MALLORY)
    return file


def other_owner_of_the_folder(common: Path) -> Path:
    file = write(common / "project")
    os.chown(file.parent, MALLORY, MALLORY)
    return file


def folder_for_others(common: Path) -> Path:
    file = write(common / "project")
    file.parent.chmod(0o777)
    return file


def file_for_others(common: Path) -> Path:
    file = write(common / "project")
    file.chmod(0o666)
    return file


def folder_for_a_group(common: Path) -> Path:
    file = write(common / "project")
    os.chown(file.parent, 0, MALLORY)
    file.parent.chmod(0o775)
    return file


def parent_for_others(common: Path) -> Path:
    file = write(common / "project")
    inner = write(common / "project" / "rack")
    file.parent.chmod(0o777)
    return inner


def link_of_another(common: Path) -> Path:
    write(common / "project")
    as_user(MALLORY, lambda: (common / "link").symlink_to(common / "project"))
    return common / "link" / "lab.toml"


def link_through_another_folder(common: Path) -> Path:
    write(common / "project")
    (common / "open").mkdir()
    (common / "open" / "way").symlink_to(common / "project")
    (common / "open").chmod(0o777)
    (common / "link").symlink_to("open/../open/way/lab.toml")
    return common / "link"


WAYS = [
    other_owner,
    other_owner_of_the_folder,
    folder_for_others,
    file_for_others,
    folder_for_a_group,
    parent_for_others,
    link_of_another,
    link_through_another_folder,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_read_lab_as_root_refuses_a_file_that_other_users_control(common: Path, way: object) -> None:
    file = way(common)  # type: ignore[operator]

    with pytest.raises(UntrustedFileError, match="this is root") as caught:
        read_lab(file)
    assert "owner" in caught.value.remedy


@pytest.mark.parametrize("named", ["by folder", "HIL_LAB", "--hil-lab", "XDG_CONFIG_HOME", "HOME"])
def test_find_lab_as_root_refuses_it_however_it_is_found(common: Path, named: str) -> None:
    home = common / "home"
    home.mkdir()
    write(home / "hil")
    (home / ".config").symlink_to(home)
    os.chown(home, MALLORY, MALLORY)
    (common / "empty").mkdir()
    folder = home / "hil" if named == "by folder" else common / "empty"
    environ = {
        "HIL_LAB": {"HIL_LAB": str(home / "hil" / "lab.toml")},
        "XDG_CONFIG_HOME": {"XDG_CONFIG_HOME": str(home)},
        "HOME": {"HOME": str(home)},
    }.get(named, {})
    asked = str(home / "hil" / "lab.toml") if named == "--hil-lab" else None

    with pytest.raises(UntrustedFileError):
        find_lab(asked, folder, environ)


def test_read_lab_as_root_obeys_roots_own_file_below_a_sticky_folder(common: Path) -> None:
    assert read_lab(write(common / "project")).leaves_alone("0df10035")


def test_read_lab_as_a_user_reads_the_same_file(common: Path) -> None:
    file = other_owner(common)
    read_lab(write(common / "own"))  # imports all that it needs

    assert as_user(VICTIM, partial(read_lab, file)).leaves_alone("0df10035")


def test_why_untrusted_names_file_owner_and_mode(common: Path) -> None:
    owned, writable = other_owner(common), folder_for_others(common)

    assert f"{owned} belongs to uid {MALLORY}" in why_untrusted(owned)
    os.chown(writable, 0, 0)
    assert f"{writable.parent} may be written by others (mode 0777)" in why_untrusted(writable)
    assert not as_user(MALLORY, lambda: why_untrusted(write(common / "mine")))


def test_untrusted_error_has_no_control_characters(common: Path) -> None:
    file = as_user(MALLORY, lambda: write(common / "a\nhil: all is well\x1b[2J"))

    with pytest.raises(UntrustedFileError) as caught:
        read_lab(file)
    assert "\n" not in caught.value.what + caught.value.why
    assert "\x1b" not in caught.value.what + caught.value.why


def test_lab_file_editor_as_root_refuses_a_link_of_another_user(common: Path) -> None:
    as_user(MALLORY, lambda: (common / "lab.toml").symlink_to("/etc/hil-test.toml"))

    with pytest.raises(UntrustedFileError):
        LabFileEditor(common / "lab.toml")


def hil(*arguments: str, cwd: Path, module: str = "hil.cli.main") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def hil_as_user(*arguments: str, cwd: Path) -> str:
    """Run a command as another user, who may not read this interpreter's folder; return what it said."""

    def act() -> str:
        os.chdir(cwd)
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            run(arguments)
        return said.getvalue()

    read_lab(write(cwd.parent / "own"))  # imports all that is needed, and so does the next line
    run(arguments)
    return as_user(VICTIM, act)


def test_hil_as_a_user_names_another_user_who_controls_the_lab_file(common: Path) -> None:
    file = other_owner(common)

    said = hil_as_user("boards", cwd=file.parent)

    assert said.count(f"other users decide what {file} says: {file} belongs to uid {MALLORY}") == 1


def test_hil_doctor_as_a_user_names_the_lab_file_that_root_would_not_obey(common: Path) -> None:
    file = other_owner(common)

    said = hil_as_user("doctor", "--quick", cwd=file.parent)

    assert f"root does not obey it\n            why:  {file} belongs to uid {MALLORY}" in said


def test_hil_nightly_as_root_runs_no_conftest_of_another_user(common: Path) -> None:
    project = common / "project"
    project.mkdir()
    (project / "conftest.py").write_text("open('obeyed', 'w').close()\n")
    os.chown(project, MALLORY, MALLORY)

    done = hil("nightly", "run", cwd=project)

    assert (done.returncode, "tests' folder" in done.stderr) == (2, True)
    assert not (project / "obeyed").exists()
    assert not (project / "nightly").exists()


@pytest.mark.parametrize("command", [("history",), ("report",), ("nightly", "status")], ids=" ".join)
def test_hil_as_root_opens_no_history_beside_which_another_user_may_put_links(
    common: Path, command: tuple[str, ...]
) -> None:
    nights = common / "nightly"
    nights.mkdir()
    (nights / "history.db").touch()
    os.chown(nights, MALLORY, MALLORY)

    done = hil(*command, cwd=common)

    assert (done.returncode, "this is root" in done.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--hil-report={}", "--hil-history={}/history.db"])
def test_pytest_as_root_keeps_nothing_in_a_folder_of_another_user(common: Path, option: str) -> None:
    (common / "project").mkdir()
    (common / "project" / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (common / "project" / "test_it.py").write_text("def test_it():\n    pass\n")
    prepared = common / "prepared"
    prepared.mkdir()
    os.chown(prepared, MALLORY, MALLORY)

    done = hil(option.format(prepared), "-p", "no:cacheprovider", cwd=common / "project", module="pytest")

    assert (done.returncode, "this is root" in done.stderr) == (4, True)
    assert not list(prepared.iterdir())
