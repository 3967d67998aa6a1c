"""The Jumpstarter lab as `hil.boards.remote_lab` loads it, when a run asks for its boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.jumpstarter.client.provider import check_client, check_target, lease_boards
from hil.jumpstarter.client.remote_source import RemoteSource

if TYPE_CHECKING:
    from hil.boards.remote_lab import RemoteLab
    from hil.jumpstarter.client import lab  # noqa: PLW0406 - the next line needs the module itself

    _: RemoteLab = lab  # the type checker holds this module against the interface

__all__ = ["check_client", "check_target", "lease_boards", "source"]

source = RemoteSource
