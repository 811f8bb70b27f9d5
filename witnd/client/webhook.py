"""Verify webhooks (Standard Webhooks), with either of the two sets of header names."""

import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from witnd.client.errors import SignatureError


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    tolerance: float = 300,
    *,
    now: float | None = None,
) -> dict[str, Any]:
    """Return the message if one of the secrets signed it within `tolerance` seconds of now. Raises `SignatureError`.

    `body` must be the unchanged bytes. Header names are case-insensitive. Pass several secrets during a rotation. A
    message can arrive twice, with the same `id`.
    """
    id_, sent, signatures = _signature_headers({name.lower(): value for name, value in headers.items()})
    if not sent.isascii() or not sent.isdigit() or len(sent) > 12:
        raise SignatureError("the timestamp is not a number")
    signed = f"{id_}.{sent}.".encode() + body
    given = [one.encode() for one in signatures.split(" ") if one.startswith("v1,")]
    if not secrets:
        raise ValueError("secrets: pass at least one")
    expected = [_signature(secret, signed) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    # All pairs are compared in constant time.
    found = False
    for one in given:
        for other in expected:
            found |= hmac.compare_digest(one, other)
    if not found:
        raise SignatureError("no signature matches: the message was forged or changed, or the secret is wrong")
    if abs((time.time() if now is None else now) - int(sent)) > tolerance:
        raise SignatureError(f"the message was signed more than {tolerance:g} s ago or ahead; check the clock")
    try:
        message: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SignatureError("the body is not a JSON object") from None
    return message


def _signature_headers(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Return id, timestamp and signatures, all from one set of headers."""
    for family in ("webhook", "svix"):
        found = [headers.get(f"{family}-{name}") for name in ("id", "timestamp", "signature")]
        id_, sent, signatures = found
        if id_ is not None and sent is not None and signatures is not None:
            return id_, sent, signatures
    raise SignatureError("the headers webhook-id, webhook-timestamp and webhook-signature are required")


def _signature(secret: str, signed: bytes) -> bytes:
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("secrets: each must be whsec_ and base64, as shown when the rule was created")
    return b"v1," + b64encode(hmac.digest(key, signed, "sha256"))
