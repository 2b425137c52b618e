"""The server that assistants speak to over HTTP, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def served(made: Callable[[int], Any]) -> Iterator[str]:
    """Serves what is made for a port, and yields the URL of its protocol."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        app = made(port).streamable_http_app(stateless_http=True, json_response=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}/mcp"
        server.should_exit = True
        thread.join()
