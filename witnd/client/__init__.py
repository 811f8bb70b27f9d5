"""The client library: send events, read outcomes, bill customers, verify webhooks.

    from witnd.client import Client

    with Client("https://billing.example.com", token) as witnd:
        witnd.send("ticket-4711", "resolved", "acme")

It imports nothing of the daemon. `AsyncClient` imports aiohttp and `RedisSender` imports redis at the first use.
"""

from witnd.client.answers import (
    Ageing,
    AgeingReport,
    Balance,
    CreditResult,
    Fate,
    Invoice,
    InvoiceGroup,
    InvoicePage,
    LinePage,
    LineResult,
    Outcome,
    OutcomeDetail,
    Page,
    Payment,
    PaymentResult,
    RefundResult,
    TaxRow,
)
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
from witnd.client.event import Event, EventReceipt
from witnd.client.flow import Retries
from witnd.client.redis_sender import RedisSender
from witnd.client.webhook import verify_webhook

__all__ = [
    "Ageing",
    "AgeingReport",
    "ApiError",
    "AsyncClient",
    "Balance",
    "Client",
    "ConflictError",
    "CreditResult",
    "Detail",
    "Event",
    "EventReceipt",
    "Fate",
    "Invoice",
    "InvoiceGroup",
    "InvoicePage",
    "LinePage",
    "LineResult",
    "NoAnswerError",
    "NotAllowedError",
    "NotFoundError",
    "NotSentError",
    "Outcome",
    "OutcomeDetail",
    "Page",
    "Payment",
    "PaymentResult",
    "RateLimitedError",
    "RedisSender",
    "RefundResult",
    "Retries",
    "SignatureError",
    "TaxRow",
    "UnavailableError",
    "ValidationError",
    "WitndError",
    "verify_webhook",
]
