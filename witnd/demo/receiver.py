"""The demo's webhook endpoint: it verifies every signature and fails some requests on purpose.
Like a real application it follows the Standard Webhooks specification and does not use witnd's signer.
"""

import hmac
import json
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from msgspec import Struct

# One of this many new messages fails first, to show a retry.
ERROR_EVERY: Final = 4
TOLERANCE_SECONDS: Final = 300


class Receipt(Struct, frozen=True, kw_only=True):
    """A request. `wrong`: why its signature is invalid. `status`: the response."""

    at_ms: int
    rule: str
    id: str
    outcome_key: str
    attempt: int
    status: int
    wrong: str | None = None
    again: bool = False


class ReceiverStats(Struct, kw_only=True):
    """Counts of messages, which are identified by their `webhook-id`."""

    verified: int = 0
    retried: int = 0
    repeated: int = 0
    forged: int = 0

    @property
    def text(self) -> str:
        text = f"{self.verified} verified, {self.retried} of them after a retry"
        text += f", {self.repeated} received again" if self.repeated else ""
        return text + (f", {self.forged} forged" if self.forged else "")


def signature_problem(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
    """Return why the signature is invalid, or None."""
    id_, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp)) > TOLERANCE_SECONDS:
        return "its timestamp is missing or too far from now"
    key = b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{id_}.{stamp}.".encode() + body, "sha256")
    expected = f"v1,{b64encode(digest).decode()}"
    signatures = headers.get("webhook-signature", "").split(" ")
    if any(hmac.compare_digest(expected.encode(), one.encode()) for one in signatures):
        return None
    return "its signature does not match"


class Receiver:
    """The endpoint; create it with `open`. `secrets` are by rule name, which is the path of the rule's URL."""

    def __init__(self, tell: Callable[[Receipt], None]) -> None:
        self.port = 0
        self.secrets: Mapping[str, str] = {}
        self.stats = ReceiverStats()
        self._tell = tell
        self._attempts: Counter[str] = Counter()
        self._accepted: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    @asynccontextmanager
    async def open(cls, tell: Callable[[Receipt], None]) -> "AsyncIterator[Receiver]":
        receiver = cls(tell)
        runner = web.ServerRunner(web.Server(receiver._handle), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            receiver.port = runner.addresses[0][1]
            yield receiver
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        rule, body = request.path.strip("/"), await request.read()
        secret = self.secrets.get(rule)
        if secret is None:
            return web.Response(status=404)
        now = time.time()
        headers = {name.lower(): text for name, text in request.headers.items()}
        receipt = self.record(rule, headers, body, signature_problem(secret, headers, body, now), now)
        self._tell(receipt)
        return web.Response(status=receipt.status)

    def record(self, rule: str, headers: Mapping[str, str], body: bytes, wrong: str | None, now: float) -> Receipt:
        """Count a message and return its receipt."""
        id_, stats = headers.get("webhook-id", ""), self.stats
        again = id_ in self._accepted
        self._attempts[id_] += 1
        attempt = self._attempts[id_]
        refused = attempt == 1 and len(self._attempts) % ERROR_EVERY == 0
        if wrong is not None:
            stats.forged += 1
            status = 401
        elif again:
            stats.repeated += 1
            status = 200
        elif refused:
            status = 500
        else:
            stats.verified += 1
            stats.retried += attempt > 1
            self._accepted.add(id_)
            status = 200
        return Receipt(
            at_ms=int(now * 1000),
            rule=rule,
            id=id_,
            outcome_key="" if wrong else str(json.loads(body)["data"]["subjectKey"]),
            attempt=attempt,
            status=status,
            wrong=wrong,
            again=again,
        )
