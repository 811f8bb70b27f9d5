"""Believing a webhook or not: Standard Webhooks, under either of the two names of its headers."""

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
    """The message, if one of the secrets signed it within `tolerance` seconds of now; else `SignatureError`.

    `body` is what came, byte by byte. Names of headers may be in any case. Several secrets are for the day of a
    rotation. A message may come twice: its `id` tells.
    """
    id_, sent, signatures = _signed_with({name.lower(): value for name, value in headers.items()})
    if not sent.isascii() or not sent.isdigit() or len(sent) > 12:
        raise SignatureError("the timestamp is no number of seconds")
    signed = f"{id_}.{sent}.".encode() + body
    given = [one.encode() for one in signatures.split(" ") if one.startswith("v1,")]
    if not secrets:
        raise ValueError("secrets: name at least one")
    expected = [_signature(secret, signed) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    # Every pair is compared, so that the time it takes tells nothing of which one was nearly right.
    found = False
    for one in given:
        for other in expected:
            found |= hmac.compare_digest(one, other)
    if not found:
        raise SignatureError("no signature fits: it is forged or changed, or the secret is another one")
    if abs((time.time() if now is None else now) - int(sent)) > tolerance:
        raise SignatureError(f"the message was signed more than {tolerance:g} s ago or ahead; is the clock right?")
    try:
        message: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SignatureError("the body is no JSON object") from None
    return message


def _signed_with(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Id, timestamp and signatures, all of one family."""
    for family in ("webhook", "svix"):
        found = [headers.get(f"{family}-{name}") for name in ("id", "timestamp", "signature")]
        id_, sent, signatures = found
        if id_ is not None and sent is not None and signatures is not None:
            return id_, sent, signatures
    raise SignatureError("the headers webhook-id, webhook-timestamp and webhook-signature are not all there")


def _signature(secret: str, signed: bytes) -> bytes:
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("secrets: each must be whsec_ and base64, as it was shown when the rule was made")
    return b"v1," + b64encode(hmac.digest(key, signed, "sha256"))
