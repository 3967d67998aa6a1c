"""Connect Jumpstarter's own client to a direct exporter."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal
from jumpstarter.client import client_from_path
from jumpstarter.config.tls import TLSConfigV1Alpha1

from tests.jumpstarter.exporters import PASSPHRASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.jumpstarter.certificates import Certificate

__all__ = ["connected"]


@contextmanager
def connected(
    address: str, certificate: Certificate, *, allow: list[str], passphrase: str | None = PASSPHRASE
) -> Iterator[Any]:
    """Connect a client to the exporter at `address` for a `with` block."""
    with start_blocking_portal() as portal, ExitStack() as stack:
        client = client_from_path(
            address,
            portal,
            stack,
            allow=allow,
            unsafe=False,
            tls_config=TLSConfigV1Alpha1(ca=certificate.base64),
            passphrase=passphrase,
        )
        with portal.wrap_async_context_manager(client) as root:
            yield root
