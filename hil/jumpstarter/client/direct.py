"""Roads without a lease: to an exporter that is reached directly, and inside a Jumpstarter shell."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import grpc
from jumpstarter.client import client_from_path
from jumpstarter.common.exceptions import JumpstarterException
from jumpstarter.config.tls import TLSConfigV1Alpha1

from hil.errors import BoardAbsentError, BoardDeniedError, HilError
from hil.jumpstarter.client.connection import ALLOWED_CLIENTS, ExporterConnection, enter_within
from hil.regular_file import read_regular

if TYPE_CHECKING:
    from contextlib import ExitStack

    from anyio.from_thread import BlockingPortal

    from hil.jumpstarter.client.target import DirectTarget, ShellTarget

CONNECT_LIMIT_S = 15.0
"""Seconds within which an exporter that is ready lets a run in: one whose host is dark refuses nothing."""

__all__ = ["CONNECT_LIMIT_S", "connect_directly", "connect_in_shell", "unreachable_error"]


def connect_directly(target: DirectTarget) -> ExporterConnection:
    """Connect to an exporter that listens by itself.

    Raises:
        BoardAbsentError: It cannot be reached, or has no board of ours.
        BoardDeniedError: It wants another passphrase.
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

    return _connected(ExporterConnection(f"exporter {target.address}"), make)


def connect_in_shell(target: ShellTarget) -> ExporterConnection:
    """Connect the way that `jmp shell` left in the environment; raises what `connect_directly` raises."""
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

    return _connected(ExporterConnection(f"exporter {target.exporter or 'of this jmp shell'}"), make)


def _connected(connection: ExporterConnection, make: Any) -> ExporterConnection:  # noqa: ANN401 - as above
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
    """Make our error of Jumpstarter's, or gRPC's: by code, never by text."""
    number = _code(error)
    if number in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        return BoardDeniedError(
            f"{label} does not let this run in",
            why=_words(error),
            remedy="see passphrase, token and certificate (docs/jumpstarter.md)",
        )
    return BoardAbsentError(
        f"{label} cannot be reached",
        why=_words(error),
        remedy="see whether it runs, and whether its name, port and certificate are right",
    )


def _code(error: BaseException | None) -> grpc.StatusCode | None:
    """The status of the gRPC error behind an exception of Jumpstarter's, which hides it in its chain."""
    while error is not None:
        if isinstance(error, grpc.aio.AioRpcError):
            return error.code()
        error = error.__cause__ or error.__context__
    return None


def _words(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    if isinstance(error, JumpstarterException) and error.__cause__ is not None:
        return f"{error.message} ({_words(error.__cause__)})"
    return f"{type(error).__name__}: {error}"
