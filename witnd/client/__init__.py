"""witnd from an application: send events, ask for outcomes, verify webhooks.

    from witnd.client import Client

    with Client("https://billing.example.com", token) as witnd:
        witnd.send("ticket-4711", "resolved", "acme")

Nothing of the daemon is imported here. `AsyncClient` imports aiohttp and `RedisSender` imports redis when they are
first used.
"""

from witnd.client.answers import Explained, Fate, Outcome, Page
from witnd.client.async_client import AsyncClient
from witnd.client.blocking import Client
from witnd.client.errors import (
    ApiError,
    ConflictError,
    Detail,
    NoAnswerError,
    NotAllowedError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    SignatureError,
    UnavailableError,
    ValidationError,
    WitndError,
)
from witnd.client.event import Event, Sent
from witnd.client.flow import Retries
from witnd.client.redis_sender import RedisSender
from witnd.client.webhook import verify_webhook

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ConflictError",
    "Detail",
    "Event",
    "Explained",
    "Fate",
    "NoAnswerError",
    "NotAllowedError",
    "NotFoundError",
    "NotSentError",
    "Outcome",
    "Page",
    "RateLimitedError",
    "RedisSender",
    "Retries",
    "Sent",
    "SignatureError",
    "UnavailableError",
    "ValidationError",
    "WitndError",
    "verify_webhook",
]
