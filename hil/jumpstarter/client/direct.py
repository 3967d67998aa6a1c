"""Connections without a lease of this run: to an exporter that listens itself, and inside `jmp shell`."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import grpc
from jumpstarter.client import client_from_path
from jumpstarter.common.exceptions import JumpstarterException
from jumpstarter.config.tls import TLSConfigV1Alpha1

from hil.errors import BoardAbsentError, BoardDeniedError, HilError
from hil.jumpstarter.client.connection import ExporterConnection, enter_within
from hil.jumpstarter.protocol.board_description import ALLOWED_CLIENTS
from hil.regular_file import read_regular

if TYPE_CHECKING:
    from contextlib import ExitStack

    from anyio.from_thread import BlockingPortal

    from hil.jumpstarter.client.target import DirectTarget, ShellTarget

__all__ = ["CONNECT_LIMIT_S", "connect_directly", "connect_in_shell", "unreachable_error"]

CONNECT_LIMIT_S = 15.0
"""Seconds that a ready exporter may take to accept a run; a host that went dark never refuses one."""


def connect_directly(target: DirectTarget) -> ExporterConnection:
    """Connect to an exporter that listens itself.

    Raises:
        BoardAbsentError: The exporter cannot be reached, or has no DUTLink board.
        BoardDeniedError: The exporter expects another passphrase.
    """
    tls = TLSConfigV1Alpha1()
    if target.ca is not None:
        tls = TLSConfigV1Alpha1(ca=base64.b64encode(read_regular(target.ca)).decode())

    def make(portal: BlockingPortal, stack: ExitStack) -> Any:  # noqa: ANN401 - Jumpstarter's
        return client_from_path(
            target.address,
            portal,
            stack,
            allow=ALLOWED_CLIENTS,
            unsafe=False,
            tls_config=tls,
            insecure=target.plain,
            passphrase=target.passphrase or None,
        )

    return _connect(ExporterConnection(f"exporter {target.address}"), make)


def connect_in_shell(target: ShellTarget) -> ExporterConnection:
    """Connect to the exporter that the environment of `jmp shell` names; raise as `connect_directly` does."""
    insecure = "1" in {os.environ.get("JMP_GRPC_INSECURE"), os.environ.get("JUMPSTARTER_GRPC_INSECURE")}

    def make(portal: BlockingPortal, stack: ExitStack) -> Any:  # noqa: ANN401 - Jumpstarter's
        return client_from_path(
            target.host,
            portal,
            stack,
            allow=ALLOWED_CLIENTS,
            unsafe=False,
            insecure=insecure,
            passphrase=os.environ.get("JMP_GRPC_PASSPHRASE") or None,
        )

    return _connect(ExporterConnection(f"exporter {target.exporter or 'of this jmp shell'}"), make)


def _connect(connection: ExporterConnection, make: Any) -> ExporterConnection:  # noqa: ANN401 - Jumpstarter's
    with connection.close_on_error():
        try:
            return connection.connect(
                lambda portal, stack: enter_within(CONNECT_LIMIT_S, make(portal, stack))
            )
        except HilError:
            raise
        except Exception as error:
            raise unreachable_error(connection.label, error) from error


def unreachable_error(label: str, error: Exception) -> HilError:
    """Return the error of hil for one of Jumpstarter or gRPC, chosen by its status code."""
    code = _status_code(error)
    if code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        return BoardDeniedError(
            f"{label} denies access",
            why=_describe(error),
            remedy="see passphrase, token and certificate (docs/jumpstarter.md)",
        )
    return BoardAbsentError(
        f"{label} cannot be reached",
        why=_describe(error),
        remedy="check that it runs, and its name, port and certificate",
    )


def _status_code(error: BaseException | None) -> grpc.StatusCode | None:
    """Return the status of the gRPC error that Jumpstarter's exceptions hide in their chain, or None."""
    while error is not None:
        if isinstance(error, grpc.aio.AioRpcError):
            return error.code()
        error = error.__cause__ or error.__context__
    return None


def _describe(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    if isinstance(error, JumpstarterException) and error.__cause__ is not None:
        return f"{error.message} ({_describe(error.__cause__)})"
    return f"{type(error).__name__}: {error}"
