"""A TCP proxy that can hold back what one side sends, while the other direction flows."""

import socket
import threading
from typing import Self


class StallingProxy:
    """Listens on `port` while entered. While `open` is not set, nothing from the server reaches the client."""

    def __init__(self, server_port: int) -> None:
        self.open = threading.Event()
        self.open.set()
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._end = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = True
        self.open.set()
        for one in (self._listener, *self._sockets):
            one.close()

    def _accept(self) -> None:
        while not self._end:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                return
            self._sockets += [client, server]
            threading.Thread(target=self._pipe, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pipe, args=(server, client, True), daemon=True).start()

    def _pipe(self, source: socket.socket, target: socket.socket, stalls: bool) -> None:
        try:
            while data := source.recv(65536):
                if stalls:
                    self.open.wait()
                target.sendall(data)
        except OSError:
            return
