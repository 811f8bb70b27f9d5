"""Sign messages as Standard Webhooks requires: HMAC-SHA256 over `id.timestamp.body`.

The published signers support only one secret. Tests verify the signatures with both public libraries.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence

from witnd.domain.webhooks.notification import secret_bytes


def signature(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """Return one entry of the signature header. `timestamp` is in seconds."""
    signed = b"%s.%d.%s" % (delivery_id.encode(), timestamp, body)
    digest = hmac.digest(secret_bytes(secret), signed, "sha256")
    return f"v1,{b64encode(digest).decode()}"


def headers(secrets: Sequence[str], delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of one attempt, with both names that receivers use.

    During a rotation there are two secrets, the current one first. A receiver accepts a message if either signature
    matches.
    """
    entries = [signature(secret, delivery_id, timestamp, body) for secret in secrets]
    signed = {"id": delivery_id, "timestamp": str(timestamp), "signature": " ".join(entries)}
    return {f"{family}-{name}": text for family in ("webhook", "svix") for name, text in signed.items()}
