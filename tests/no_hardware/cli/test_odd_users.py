"""Commands of users whom the password database does not know, without a home, or with another's."""

from __future__ import annotations

import importlib
import os
import pwd
from typing import TYPE_CHECKING

import pytest

from hil.cli.commands import nightly
from hil.cli.main import run
from hil.errors import SpoiltFileError, UsageError
from hil.lab.config.lab_file import find_lab
from hil.lab.locks.shared_file import open_shared
from hil.nightly.systemd import Units
from tests.support.other_user import VICTIM, as_user, folder_for_everybody, only_root

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def _unknown_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.mark.usefixtures("_unknown_user")
def test_commands_run_for_a_user_whom_the_password_database_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    importlib.reload(nightly)

    assert run(["udev"]) == 0
    assert run(["nightly", "--help"]) == 0
    assert Units.of("hil-nightly", user=True).timer.name == "hil-nightly.timer"
    find_lab(None, tmp_path)


@pytest.mark.parametrize("named", ["~nouser/lab.toml", "~nouser"])
def test_lab_file_in_a_missing_home_is_reported(tmp_path: Path, named: str) -> None:
    with pytest.raises(UsageError, match="nouser") as caught:
        find_lab(named, tmp_path)

    assert "full path" in caught.value.remedy


@only_root
def test_home_that_may_not_be_entered_has_no_lab_file() -> None:
    with folder_for_everybody() as folder:
        (folder / "home").mkdir(mode=0o700)
        environ = {"HOME": str(folder / "home")}

        assert not as_user(VICTIM, lambda: find_lab(None, folder, environ)).places


@only_root
def test_group_folder_error_names_the_group() -> None:
    with folder_for_everybody() as folder:
        os.chown(folder, 0, 60_009)
        folder.chmod(0o3770)

        with pytest.raises(SpoiltFileError, match="for the group 60009") as caught:
            as_user(VICTIM, lambda: open_shared(folder / "a"))
    assert "usermod --append --groups 60009" in caught.value.remedy
