"""The storage stick, for any Jumpstarter client: its position, images to it, and its bytes back."""

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
    """The stick and its mux. An image is proven to be on the stick before the DUT may have it.

    Attributes:
        spool: Folder for images on their way; empty: the system's for temporary files.
    """

    spool: str = ""
    _failed: str = field(default="", init=False)

    @export
    @in_thread
    def host(self) -> None:
        """Give the stick to the exporter's host."""
        with self.tenant.board() as board:
            board.storage.host()

    @export
    @in_thread
    def off(self) -> None:
        """Give it to nobody."""
        with self.tenant.board() as board:
            board.storage.off()

    @export
    @in_thread
    def dut(self) -> None:
        """Give it to the DUT, unless the last image is not proven to be on it.

        Stock clients ask for this after every write, the failed ones included.

        Raises:
            FlashError: It is not.
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
        """Write an image and prove it."""
        self._failed = "it did not come to its end"
        with tempfile.NamedTemporaryFile(prefix="hil-image-", dir=self.spool or None) as kept:
            async with self.resource(src) as stream, await open_file(kept.name, "wb") as file:
                async for data in stream:
                    await file.write(data)
            await to_thread.run_sync(self._flash, Path(kept.name))

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
        """Send the stick's bytes."""
        node = await run_in_thread(self._node)
        async with self.resource(dst) as stream, await open_file(node, "rb", buffering=0) as file:
            while data := await file.read(_CHUNK_BYTES):
                await stream.send(data)

    def _node(self) -> Path:
        with self.tenant.board() as board:
            board.storage.host()
            node: Any = board.storage.wait_for_node()
        return Path(node)
