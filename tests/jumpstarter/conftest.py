"""Tests with Jumpstarter's packages: `nox -s jumpstarter`. The only fake is the controller."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("jumpstarter_protocol") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.jumpstarter.jumpstarter_fixtures import *  # noqa: F403 - fixtures, shown to pytest by their names
