from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.usb.firmware import FirmwareVersion, check_firmware
from hil.errors import BoardReplyError, FirmwareTooOldError

refs = st.text("0123456789abcdef", min_size=7, max_size=40)


@given(st.builds(FirmwareVersion, st.integers(0, 99), st.integers(0, 99), refs))
def test_format_and_parse_are_inverses(version: FirmwareVersion) -> None:
    assert FirmwareVersion.parse(version.format().encode()) == version


def test_from_bcd_equals_the_reply_s_version() -> None:
    assert FirmwareVersion.from_bcd(0x0009) == FirmwareVersion(0, 9)
    assert FirmwareVersion.from_bcd(0x0110) == FirmwareVersion(1, 10)


def test_version_text_is_the_release_name() -> None:
    assert str(FirmwareVersion(0, 9, "abc")) == "0.09"


def test_parse_of_garbage_raises_board_reply_error() -> None:
    with pytest.raises(BoardReplyError):
        FirmwareVersion.parse(b"\xff\xfe")


def test_check_firmware_error_names_both_versions() -> None:
    with pytest.raises(FirmwareTooOldError, match=r"0\.07") as caught:
        check_firmware(FirmwareVersion(0, 7), "5a1c0e01")

    assert "0.08" in caught.value.why


def test_firmware_0_10_is_newer_than_0_08() -> None:
    check_firmware(FirmwareVersion(0, 10), "5a1c0e01")
