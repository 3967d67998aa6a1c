"""The lab file editor: it keeps everything that it does not change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import UsageError
from hil.lab.enroll.lab_file_editor import LabFileEditor
from hil.lab.enroll.survey import Survey
from tests.support.broken_lab_files import BROKEN, GOOD

STICK = Path("/dev/disk/by-id/usb-new")
FOUND = Survey(STICK, None, spoke=True)
COMMENTED = """\
# kept: ours

[place.a]   # kept: behind a heading
serial = "0df10035"  # kept: behind a key
# kept: before a key
stick = "/dev/disk/by-id/usb-old"
safe = "leave"

# kept: between places
[place.b]
serial = "5a1c0e01"
# kept: at the end"""


def edit_of(folder: Path, text: str) -> LabFileEditor:
    file = folder / "lab.toml"
    file.write_text(text)
    return LabFileEditor(file)


def test_lab_file_editor_writes_only_the_place_into_a_new_file(tmp_path: Path) -> None:
    edit = LabFileEditor(tmp_path / "lab.toml")
    edit.add("a", "0df10035", FOUND, ["x"])
    edit.write()

    assert (tmp_path / "lab.toml").read_text().splitlines()[2:] == [
        "[place.a]",
        'serial = "0df10035"',
        'tags = ["x"]',
        f'stick = "{STICK}"',
    ]


def test_lab_file_editor_changes_only_the_changed_line(tmp_path: Path) -> None:
    edit = edit_of(tmp_path, COMMENTED)
    edit.add("a", "0df10035", FOUND, [])
    edit.write()

    changed = COMMENTED.replace("/dev/disk/by-id/usb-old", str(STICK))
    assert (tmp_path / "lab.toml").read_text() == changed
    assert [line for line in edit_of(tmp_path, COMMENTED).diff.splitlines() if line] == []


@given(
    comments=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])), max_size=8)
)
def test_lab_file_editor_keeps_comments(
    tmp_path_factory: pytest.TempPathFactory, comments: list[str]
) -> None:
    lines = GOOD.splitlines()
    for number, comment in enumerate(comments):
        lines.insert(3 * number % len(lines), f"# {comment}")
    text = "\n".join(lines)
    edit = edit_of(tmp_path_factory.mktemp("lab"), text)
    edit.add("new", "99999999", FOUND, [])

    assert edit.text.startswith(text)
    assert edit.lab.serial_of("new") == "99999999"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lab_file_editor_keeps_line_ends(tmp_path: Path, line_end: str) -> None:
    file = tmp_path / "lab.toml"
    file.write_bytes(GOOD.replace("\n", line_end).encode())
    edit = LabFileEditor(file)
    edit.add("pi", "5a1c0e01", FOUND, [])
    edit.write()

    assert GOOD.replace("\n", line_end).encode() in file.read_bytes()


def test_lab_file_editor_keeps_another_name_of_the_same_stick(tmp_path: Path) -> None:
    (tmp_path / "sda").touch()
    (tmp_path / "by-path").symlink_to("sda")
    (tmp_path / "by-id").symlink_to("sda")
    text = f'[place.a]\nserial = "0df10035"\nstick = "{tmp_path / "by-path"}"\n'
    edit = edit_of(tmp_path, text)
    edit.add("a", "0df10035", Survey(tmp_path / "by-id", None, spoke=True), [])

    assert (edit.text, edit.diff) == (text, "")


def test_lab_file_editor_writes_no_stick_name_of_another_place(tmp_path: Path) -> None:
    edit = edit_of(tmp_path, f'[place.a]\nserial = "0df10035"\nstick = "{STICK}"\n')
    edit.add("b", "5a1c0e01", FOUND, [])

    assert edit.lab.wiring_of("5a1c0e01").stick is None


def test_lab_file_editor_replaces_only_a_missing_console(tmp_path: Path) -> None:
    there = tmp_path / "tty"
    text = f'[place.a]\nserial = "0df10035"\nconsole = "{there}"\n'
    found = Survey(None, Path("/dev/serial/by-id/usb-other"), spoke=True)
    edit = edit_of(tmp_path, text)
    edit.add("a", "0df10035", found, [])
    assert 'console = "/dev/serial/by-id/usb-other"' in edit.text
    there.touch()
    edit = edit_of(tmp_path, text)
    edit.add("a", "0df10035", found, [])

    assert edit.text == text


@pytest.mark.parametrize(
    ("name", "serial"), [("c", "0df10035"), ("b", "99999999"), ("two words", "99999999")]
)
def test_lab_file_editor_refuses_a_wrong_file(tmp_path: Path, name: str, serial: str) -> None:
    edit = edit_of(tmp_path, COMMENTED)
    with pytest.raises(UsageError):
        edit.add(name, serial, FOUND, [])

    assert (edit.text, edit.diff) == (COMMENTED, "")


@pytest.mark.parametrize("broken", BROKEN[::10], ids=range(len(BROKEN[::10])))
def test_lab_file_editor_does_not_touch_a_wrong_file(tmp_path: Path, broken: object) -> None:
    text = broken.text  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"lab\.toml:\d+: "):
        edit_of(tmp_path, text)

    assert (tmp_path / "lab.toml").read_text() == text


def test_lab_file_editor_does_not_overwrite_a_changed_file(tmp_path: Path) -> None:
    edit = edit_of(tmp_path, COMMENTED)
    edit.add("new", "99999999", FOUND, [])
    (tmp_path / "lab.toml").write_text("# theirs")
    with pytest.raises(UsageError, match="was changed"):
        edit.write()

    assert (tmp_path / "lab.toml").read_text() == "# theirs"
