"""Driver of the storage stick for stock Jumpstarter clients: move, flash and dump it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio import open_file, to_thread
from jumpstarter.driver import export
from jumpstarter_driver_opendal.driver import StorageMuxFlasherInterface

from hil.errors import FlashError, HilError
from hil.jumpstarter.exporter.base_driver import BoardDriver
from hil.jumpstarter.protocol.threads import in_thread, run_in_thread

__all__ = ["StorageDriver"]

_CHUNK_BYTES = 1 << 20


@dataclass(kw_only=True)
class StorageDriver(StorageMuxFlasherInterface, BoardDriver):
    """The stick and its mux. The DUT gets the stick only after the last image was verified.

    Attributes:
        spool: Folder for received images; empty: the system's folder for temporary files.
    """

    spool: str = ""
    _failed: str = field(default="", init=False)

    @export
    @in_thread
    def host(self) -> None:
        """Attach the stick to the exporter's host."""
        with self.tenant.board() as board:
            board.storage.host()

    @export
    @in_thread
    def off(self) -> None:
        """Detach the stick."""
        with self.tenant.board() as board:
            board.storage.off()

    @export
    @in_thread
    def dut(self) -> None:
        """Attach the stick to the DUT.

        Raises:
            FlashError: The last write failed. Stock clients call this after every write, even a failed one.
        """
        if self._failed:
            raise FlashError(
                "the stick is not given to the DUT",
                why=f"the last image is not on it: {self._failed}",
                remedy="write it again",
            )
        with self.tenant.board() as board:
            board.storage.dut()

    @export
    async def write(self, src: str) -> None:
        """Receive an image, write it to the stick and verify it."""
        self._failed = "it was not received completely"
        with tempfile.NamedTemporaryFile(prefix="hil-image-", dir=self.spool or None) as spool:
            async with self.resource(src) as stream, await open_file(spool.name, "wb") as file:
                async for data in stream:
                    await file.write(data)
            await to_thread.run_sync(self._flash, Path(spool.name))

    def _flash(self, image: Path) -> None:
        try:
            with self.tenant.board() as board:
                board.storage.flash(image)
        except HilError as error:
            self._failed = error.what
            raise
        self._failed = ""

    @export
    async def read(self, dst: str) -> None:
        """Send all bytes of the stick to the client."""
        node = await run_in_thread(self._node)
        async with self.resource(dst) as stream, await open_file(node, "rb", buffering=0) as file:
            while data := await file.read(_CHUNK_BYTES):
                await stream.send(data)

    def _node(self) -> Path:
        with self.tenant.board() as board:
            board.storage.host()
            node: Any = board.storage.wait_for_node()
        return Path(node)
