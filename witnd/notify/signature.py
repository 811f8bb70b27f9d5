"""Signatures of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`.

Written out here because the published signers take the time of day from their own argument types
and sign with one secret only. Both public libraries verify what this makes; the tests see to that.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence

from witnd.domain.webhooks.notification import secret_bytes


def signature(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """One entry of the signature header. `timestamp` is in seconds."""
    signed = b"%s.%d.%s" % (delivery_id.encode(), timestamp, body)
    digest = hmac.digest(secret_bytes(secret), signed, "sha256")
    return f"v1,{b64encode(digest).decode()}"


def headers(secrets: Sequence[str], delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt, under both of the names that receivers look for.

    While a secret is being replaced there are two, the current one first: a receiver accepts a
    message if either matches.
    """
    entries = [signature(secret, delivery_id, timestamp, body) for secret in secrets]
    signed = {"id": delivery_id, "timestamp": str(timestamp), "signature": " ".join(entries)}
    return {f"{family}-{name}": text for family in ("webhook", "svix") for name, text in signed.items()}
