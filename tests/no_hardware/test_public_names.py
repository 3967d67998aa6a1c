"""The names that `hil` offers, and the old paths that go on working."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import hil
from hil import old_paths


@pytest.mark.parametrize("name", hil.__all__)
def test_hil_offers_each_public_name_with_a_docstring(name: str) -> None:
    assert getattr(hil, name).__doc__


def test_hil_refuses_a_name_that_it_does_not_have() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Bord'"):
        _ = hil.Bord


@pytest.mark.parametrize("old", sorted(old_paths._MOVED))
def test_old_path_hands_on_what_the_new_module_has(old: str) -> None:
    if old.startswith("hil.jumpstarter"):
        pytest.importorskip("jumpstarter.driver")
    new, renamed = old_paths._MOVED[old]
    sys.modules.pop(old, None)

    with pytest.warns(DeprecationWarning, match=f"{old} is {new} now"):
        module = import_module(old)

    for was, name in {"__all__": "__all__", **renamed}.items():
        assert was.startswith("__") or getattr(module, was) is getattr(import_module(new), name)
    with pytest.raises(AttributeError):
        _ = module.no_such_name


@pytest.mark.parametrize(
    "line",
    [
        "from hil.dutlink.console import Console",
        "from hil.dutlink.power import Power",
        "from hil.dutlink.storage import Storage",
        "from hil.lab.lease import hold",
        "from hil.sim.image import build_image",
    ],
)
def test_old_import_works_in_a_fresh_process(line: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", line], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr


def test_no_old_path_is_the_name_of_a_module_of_today() -> None:
    finders = [finder for finder in sys.meta_path if not isinstance(finder, old_paths.OldPaths)]
    found = []
    for old in old_paths._MOVED:
        package = import_module(old.rpartition(".")[0])
        if any(finder.find_spec(old, package.__path__) for finder in finders):
            found.append(old)

    assert not found
