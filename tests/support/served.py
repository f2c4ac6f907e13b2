"""An application of the tests on a port of this machine, for clients in other threads and processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from support.api_world import World
from support.installation import free_port

__all__ = ["served"]


@contextmanager
def served(world: World) -> Iterator[str]:
    """The address of the running application, its networks and its index loaded."""
    port = free_port()
    config = uvicorn.Config(world.app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served")
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        world.services.engines.wait(30)
        assert world.services.follower is not None
        assert world.services.follower.wait_ready(30)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
