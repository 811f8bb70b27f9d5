"""A server that gives prepared answers, and remembers what it was asked."""

import json
import socket
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """One answer. `cut`: the connection ends without one; `ends`: after it. `silent`: nothing is ever said."""

    status: int = 202
    body: Any = None
    headers: dict[str, str] = {}
    cut: bool = False
    ends: bool = False
    silent: bool = False


class Asked(NamedTuple):
    """`line`: which connection it came over."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    line: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Script:
    def __init__(self, answers: Sequence[Answer | Callable[[Asked], Answer]]) -> None:
        self.asked: list[Asked] = []
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Script":
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            one.close()
        self._thread.join(10)

    def _listen(self) -> None:
        """One connection at a time is enough; the next one is served when this one has ended."""
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            self._open.append(connection)
            Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection.makefile("rb") as incoming:
            try:
                while asked := _read(incoming, number):
                    self.asked.append(asked)
                    given = self._answers.pop(0)
                    answer = given if isinstance(given, Answer) else given(asked)
                    if answer.silent:
                        continue
                    if not answer.cut:
                        connection.sendall(_bytes(answer))
                    if answer.cut or answer.ends:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
            except OSError:
                return


def _read(incoming: Any, number: int) -> Asked | None:
    first = incoming.readline().decode()
    if not first:
        return None
    headers = {}
    while (line := incoming.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    method, target, _ = first.split(" ")
    return Asked(method, target, headers, incoming.read(int(headers.get("content-length", 0))), number)


def _bytes(answer: Answer) -> bytes:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    head = [f"HTTP/1.1 {answer.status} Something", f"Content-Length: {len(body)}", "X-Request-Id: req-1"]
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*head, "", ""]).encode() + body


def taken(id_: str = "1-0", partition: int = 0) -> Answer:
    return Answer(202, {"id": id_, "partition": partition})


def refused(status: int, code: str, *details: tuple[str, str], **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    told = [{"path": path, "message": message} for path, message in details]
    error = {"type": "t", "code": code, "message": "no", "status": status, "doc_url": "/", "request_id": "req-2"}
    return Answer(status, {"error": error | ({"details": told} if told else {})}, named)
