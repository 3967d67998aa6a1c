"""Only where the extra `jumpstarter` is installed: `nox -s jumpstarter`. No double but the controller."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("jumpstarter_protocol") is None:  # this folder itself answers to the other name
    collect_ignore_glob = ["test_*.py"]
else:
    from jumpstarter_fixtures import *  # noqa: F403 - fixtures, shown to pytest by their names
