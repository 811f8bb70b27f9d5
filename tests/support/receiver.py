"""An endpoint for webhooks in a thread of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple


class Webhook(NamedTuple):
    id: str
    body: bytes


@contextmanager
def receiver(arrived: Callable[[], None] = lambda: None) -> Iterator[tuple[str, list[Webhook]]]:
    """Its address, and what it received so far. It calls `arrived` before it answers. It answers 204, and a path such
    as `/410` with that status."""
    received: list[Webhook] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(Webhook(self.headers["webhook-id"], body))
            arrived()
            with suppress(OSError):  # the sender may be gone
                path = self.path.removeprefix("/")
                self.send_response(int(path) if path.isdigit() else 204)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", received
    finally:
        server.shutdown()
        server.server_close()
