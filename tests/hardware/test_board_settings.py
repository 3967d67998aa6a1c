"""The settings in the board's flash, which wears: one name is written and written back, in a fixture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.usb.protocol import ConfigKey, Request
from hil.errors import SequenceError, SettingError

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.usb.control_link import ControlLink

PASSING_NAME = "hil-test-name"


class SettingsGuard:
    """Lets every request pass but those that write a setting: no slip of the driver may reach the flash."""

    def __init__(self, link: ControlLink) -> None:
        self.kept_back = 0
        self._send = link.control_out

    def send(self, request: Request, value: int = 0, data: bytes = b"") -> None:
        if request is Request.CONFIG:
            self.kept_back += 1
        else:
            self._send(request, value, data)


@dataclass(frozen=True, slots=True)
class Renaming:
    """What the name read as, before it was changed, right after, and after a refresh."""

    before: bytes
    unrefreshed: bytes
    refreshed: bytes


@pytest.fixture(scope="module")
def renaming(dutlink: Board, link: ControlLink) -> Renaming:
    """Give the board another name for a moment, by bare requests."""
    kept = dutlink.settings.read()
    try:
        (before,) = link.snapshot_read((Request.CONFIG, ConfigKey.NAME))
        link.control_out(Request.CONFIG, ConfigKey.NAME, PASSING_NAME.encode())
        unrefreshed = link.control_in(Request.CONFIG, ConfigKey.NAME)
        (refreshed,) = link.snapshot_read((Request.CONFIG, ConfigKey.NAME))
    finally:
        restored = dutlink.settings.write(name=kept.name)
    assert restored == kept
    return Renaming(before, unrefreshed, refreshed)


@pytest.fixture
def guard(link: ControlLink, monkeypatch: pytest.MonkeyPatch) -> SettingsGuard:
    guard = SettingsGuard(link)
    monkeypatch.setattr(link, "control_out", guard.send)
    return guard


def test_a_setting_reads_old_until_the_next_refresh(renaming: Renaming) -> None:
    assert renaming.unrefreshed == renaming.before


def test_a_setting_reads_new_after_a_refresh(renaming: Renaming) -> None:
    assert renaming.refreshed.rstrip(b"\0") == PASSING_NAME.encode()


def test_a_setting_comes_padded_to_its_whole_field(renaming: Renaming) -> None:
    assert len(renaming.refreshed) == 64


def test_writing_what_is_stored_already_spares_the_flash(dutlink: Board, guard: SettingsGuard) -> None:
    stored = dutlink.settings.read()

    dutlink.settings.write(name=stored.name, tags=stored.tags, usb_console=stored.usb_console)

    assert guard.kept_back == 0


def test_settings_read_alike_twice(dutlink: Board) -> None:
    assert dutlink.settings.read() == dutlink.settings.read()


@pytest.mark.hardware(observes_only=True)
@pytest.mark.parametrize(
    ("name", "size_bytes"), [("name", 64), ("tags", 256), ("usb_console", 64), ("power_on", 32)]
)
def test_a_setting_that_does_not_fit_never_reaches_the_board(
    dutlink: Board, guard: SettingsGuard, name: str, size_bytes: int
) -> None:
    with pytest.raises(SettingError):
        dutlink.settings.write(**{name: "w" * (size_bytes + 1)})

    assert guard.kept_back == 0


@pytest.mark.hardware(observes_only=True)
@pytest.mark.parametrize("sequence", ["p", "p1,w", "p1 w5", "on", "w1302", "a"])
def test_a_sequence_with_a_slip_never_reaches_the_board(
    dutlink: Board, guard: SettingsGuard, sequence: str
) -> None:
    with pytest.raises(SequenceError):
        dutlink.settings.write(power_on=sequence)

    assert guard.kept_back == 0


@pytest.mark.parametrize("key", ["name", "power_on", "power_off", "power_rescue"])
def test_the_shell_tells_a_setting_as_the_control_request_does(dutlink: Board, key: str) -> None:
    stored = asdict(dutlink.settings.read())[key]

    assert dutlink.console.shell(f"get-config {key}").strip() == stored.strip()
