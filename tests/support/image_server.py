"""A web server on loopback that serves one image, and cuts transfers short where a test wants it."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ImageServer"]


class ImageServer:
    """One image under the path `/images/dut-v2.1.img`.

    Attributes:
        content: The image's bytes.
        cut_after_bytes: A transfer ends after so many bytes; None: none is cut.
        knows_ranges: Whether the server sends a part of the image if it is asked for one.
        status: The status of each answer, if it is not 0.
        asked_from: The first byte that each request asked for, in order.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.cut_after_bytes: int | None = None
        self.knows_ranges = True
        self.status = 0
        self.asked_from: list[int] = []
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[ImageServer]:
        """Serve on a port of loopback while the block runs."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}/images/dut-v2.1.img"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        image = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                image.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.asked_from.append(start)
        if self.status:
            request.send_error(self.status)
            return
        if asked and self.knows_ranges and start >= len(self.content):
            request.send_error(416)
            return
        is_part = bool(asked and self.knows_ranges)
        data = self.content[start if is_part else 0 :]
        request.send_response(206 if is_part else 200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data if self.cut_after_bytes is None else data[: self.cut_after_bytes])
