"""Why a device node may not be opened, asked by a user other than root."""

from __future__ import annotations

import grp
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.flash.disk.permission import Denial, explain_denied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
GROUP = "plugdev"


def as_nobody(ask: Callable[[], Denial], gids: tuple[int, ...] = ()) -> Denial:
    """Call a function in a process of a user without rights."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups(gids)
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writer, pickle.dumps(ask()))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pickle.loads(pipe.read())  # noqa: S301 - written by this test
    os.waitpid(child, 0)
    assert isinstance(told, Denial)
    return told


@pytest.fixture
def gid() -> int:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        pytest.skip("this machine has no group plugdev")


@pytest.fixture
def node(tmp_path: Path, gid: int) -> Iterator[Path]:
    """A node as the rule leaves it."""
    if os.geteuid() != 0:
        pytest.skip("only root gives a node to a group")
    file = Path("/tmp") / f"hil-node-{os.getpid()}-{tmp_path.name}"  # noqa: S108 - every user may look into it
    file.touch()
    os.chown(file, 0, gid)
    file.chmod(0o660)
    yield file
    file.unlink()


def test_explain_denied_tells_a_user_to_join_the_group(node: Path) -> None:
    denial = as_nobody(lambda: explain_denied(node))

    assert denial.why == f"{node} is for the group plugdev, and nobody is not in it"
    assert denial.remedy == "add yourself: sudo usermod -aG plugdev nobody, then log in again"


def test_explain_denied_tells_a_new_member_to_log_in_again(
    node: Path, gid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grp, "getgrgid", lambda _gid: grp.struct_group((GROUP, "x", gid, ["nobody"])))

    denial = as_nobody(lambda: explain_denied(node))

    assert denial.remedy == "log in again, or: newgrp plugdev"


def test_explain_denied_tells_a_refused_member_of_containers(node: Path, gid: int) -> None:
    assert "container" in as_nobody(lambda: explain_denied(node), (gid,)).remedy


@pytest.mark.parametrize(("group", "mode"), [("disk", 0o660), ("root", 0o660), (GROUP, 0o600)])
def test_explain_denied_recommends_the_rule_without_a_group(node: Path, group: str, mode: int) -> None:
    os.chown(node, 0, grp.getgrnam(group).gr_gid)
    node.chmod(mode)

    assert "udev --install" in as_nobody(lambda: explain_denied(node)).remedy


def test_explain_denied_recommends_the_rule_for_an_unknown_node() -> None:
    assert "udev --install" in explain_denied(None).remedy
