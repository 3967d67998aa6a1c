"""Load a Jumpstarter client's configuration: by alias or file, from the environment, or the current one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jumpstarter.common.exceptions import JumpstarterException
from jumpstarter.config.client import ClientConfigV1Alpha1
from jumpstarter.config.user import UserConfigV1Alpha1

from hil.errors import UsageError

__all__ = ["load_client_config"]


def load_client_config(client: str) -> Any:  # noqa: ANN401 - Jumpstarter's
    """Load a client's configuration.

    Args:
        client: Alias or file; empty: the environment's, if JMP_ENDPOINT is set, else the client that `jmp
            config client use` has chosen.

    Raises:
        UsageError: There is no such configuration, or it cannot be read.
    """
    try:
        config = _find(client)
    except (OSError, ValueError, JumpstarterException) as error:
        raise _unusable(client, str(error).split("\n", 1)[0]) from error
    if config is None:
        raise _unusable(client, "no client is named, and jmp config client use has chosen none")
    if not config.endpoint or not config.token:
        raise _unusable(client, "it has no endpoint or no token")
    return config


def _find(client: str) -> Any:  # noqa: ANN401 - Jumpstarter's
    if client:
        is_file = "/" in client or client.endswith((".yaml", ".yml"))
        return ClientConfigV1Alpha1.from_file(Path(client)) if is_file else ClientConfigV1Alpha1.load(client)
    if "JMP_ENDPOINT" in os.environ:
        return ClientConfigV1Alpha1.from_env()
    return UserConfigV1Alpha1.load().config.current_client if UserConfigV1Alpha1.exists() else None


def _unusable(client: str, why: str) -> UsageError:
    return UsageError(
        f"the configuration of the Jumpstarter client {client or 'in use'} cannot be used",
        why=why,
        remedy="--hil-client ALIAS_OR_FILE; jmp config client list shows what there is",
    )
