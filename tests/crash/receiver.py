"""An endpoint that outlives daemons: it keeps every message, and checks each as a customer would.

`/fine` answers 200. `/flaky` answers 500 to the first message with an id, and 200 afterwards.
"""

import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

import standardwebhooks

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Message(NamedTuple):
    path: str
    id: str
    body: bytes
    genuine: bool
    status: int


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: "Receiver"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A daemon that dies breaks its connections; that is no error here."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.receiver.take(self.path, dict(self.headers.items()), body)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Receiver:
    """Listens while entered. `on_message` is called with each before it is answered."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.on_message: Callable[[Message], None] | None = None
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def clear(self) -> None:
        with self._lock:
            self.messages.clear()
            self._seen.clear()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        headers = {name.lower(): text for name, text in headers.items()}
        try:
            standardwebhooks.Webhook(SECRET).verify(body, headers)
            genuine = True
        except standardwebhooks.WebhookVerificationError:
            genuine = False
        with self._lock:
            name = path, headers["webhook-id"]
            self._seen[name] += 1
            status = 500 if path == "/flaky" and self._seen[name] == 1 else 200
            message = Message(*name, body, genuine, status)
            self.messages.append(message)
        if self.on_message is not None:
            self.on_message(message)
        return status
