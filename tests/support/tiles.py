"""A tile server: the same grey tile for every place, and who asked for what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from support.pictures import saved

__all__ = ["TileServer", "tile_server"]


@dataclass(frozen=True)
class TileServer:
    """`asked`: the paths, and where the browser said it comes from."""

    address: str
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def tile_server() -> Iterator[TileServer]:
    asked: list[tuple[str, str | None]] = []
    tile = saved(np.full((256, 256, 3), 200, np.uint8), "PNG")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Referer")))
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(tile)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield TileServer(f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png", asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
