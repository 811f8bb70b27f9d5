"""Verifying webhooks: what three makers of signatures sign, and nothing else."""

import json
import time
from datetime import UTC, datetime

import pytest
import standardwebhooks
import svix

from witnd.client import SignatureError, verify_webhook
from witnd.notify import signature

SECRET, OTHER = ("whsec_" + letter * 40 for letter in "AB")
BODY = json.dumps({"id": "msg-1", "type": "outcome_succeed"}).encode()
MESSAGE = {"id": "msg-1", "type": "outcome_succeed"}


def ours(*secrets: str, at: float | None = None) -> dict[str, str]:
    return signature.headers(list(secrets), "msg-1", int(time.time() if at is None else at), BODY)


def family(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.startswith(name)}


@pytest.mark.parametrize("name", ["webhook", "svix"])
def test_what_witnd_signs_is_believed_under_both_names(name: str) -> None:
    headers = family(ours(SECRET), name)
    assert verify_webhook(BODY, headers, SECRET) == MESSAGE
    assert verify_webhook(BODY, {key.title(): value for key, value in headers.items()}, [SECRET]) == MESSAGE


@pytest.mark.parametrize("maker", [standardwebhooks.Webhook, svix.Webhook])
def test_what_the_published_libraries_sign_is_believed(maker: type) -> None:
    now = datetime.now(UTC)
    signed = maker(SECRET).sign("msg-1", now, BODY.decode())
    headers = {
        "webhook-id": "msg-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signed,
    }
    assert verify_webhook(BODY, headers, SECRET) == MESSAGE
    # And the other way round: what is believed here is believed there.
    standardwebhooks.Webhook(SECRET).verify(BODY, headers)


def test_one_of_several_secrets_and_one_of_several_signatures_are_enough() -> None:
    assert verify_webhook(BODY, ours(SECRET), [OTHER, SECRET]) == MESSAGE
    assert verify_webhook(BODY, ours(OTHER, SECRET), SECRET) == MESSAGE
    headers = ours(SECRET)
    headers["webhook-signature"] = "v1a,abc v2,xyz " + headers["webhook-signature"]
    assert verify_webhook(BODY, headers, SECRET) == MESSAGE


@pytest.mark.parametrize(
    ("body", "changes", "secret"),
    [
        (BODY + b" ", {}, SECRET),
        (BODY, {}, OTHER),
        (BODY, {"webhook-id": "msg-2"}, SECRET),
        (BODY, {"webhook-timestamp": str(int(time.time()) + 1000)}, SECRET),
        (BODY, {"webhook-timestamp": "soon"}, SECRET),
        (BODY, {"webhook-timestamp": "-1"}, SECRET),
        (BODY, {"webhook-timestamp": "9" * 400}, SECRET),
        (BODY, {"webhook-signature": ""}, SECRET),
        (BODY, {"webhook-signature": "v1,"}, SECRET),
        (BODY, {"webhook-signature": "v1,ü"}, SECRET),
    ],
)
def test_what_was_changed_is_not_believed(body: bytes, changes: dict[str, str], secret: str) -> None:
    with pytest.raises(SignatureError):
        verify_webhook(body, family(ours(SECRET), "webhook") | changes, secret)


@pytest.mark.parametrize("away", [-301, 301])
def test_an_old_message_or_one_from_the_future_is_not_believed(away: int) -> None:
    now = 1_800_000_000
    headers = ours(SECRET, at=now + away)
    with pytest.raises(SignatureError, match="300 s"):
        verify_webhook(BODY, headers, SECRET, now=now)
    assert verify_webhook(BODY, headers, SECRET, tolerance=302, now=now) == MESSAGE


def test_a_message_without_its_headers_is_not_believed() -> None:
    for name in ("id", "timestamp", "signature"):
        headers = family(ours(SECRET), "webhook")
        del headers[f"webhook-{name}"]
        with pytest.raises(SignatureError, match="webhook-id"):
            verify_webhook(BODY, headers, SECRET)


def test_headers_of_two_families_are_not_mixed() -> None:
    headers = ours(SECRET)
    del headers["webhook-id"]
    del headers["svix-timestamp"]
    with pytest.raises(SignatureError):
        verify_webhook(BODY, headers, SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_§", "whsec_***"])
def test_a_secret_that_is_none_is_a_mistake_of_the_caller_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="secrets") as caught:
        verify_webhook(BODY, ours(SECRET), secret)
    assert not secret.strip("whsec_") or secret not in str(caught.value)
    with pytest.raises(ValueError, match="secrets"):
        verify_webhook(BODY, ours(SECRET), [])
