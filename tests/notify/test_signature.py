"""Both public libraries accept what we sign."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
import svix.webhooks

from witnd.notify import signature

BODY = '{"id":"ab","text":"Grüße \\u0000"}'.encode()
OLD = "whsec_" + b64encode(bytes(range(24))).decode()
NEW = "whsec_" + b64encode(bytes(range(64))).decode()


def signed(*secrets: str, at: int | None = None) -> dict[str, str]:
    """Signed now: the libraries refuse what is older than five minutes."""
    return signature.headers(secrets, "ab" * 32, _now() if at is None else at, BODY)


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_one_secret_is_verified_by_both_libraries(secret: str) -> None:
    headers = signed(secret)

    assert standardwebhooks.Webhook(secret).verify(BODY, headers) == json.loads(BODY)
    svix.webhooks.Webhook(secret).verify(BODY, headers)


@pytest.mark.parametrize("secret", [OLD, NEW])
@pytest.mark.parametrize("family", ["webhook-", "svix-"])
def test_during_a_rotation_a_receiver_may_know_either_secret(secret: str, family: str) -> None:
    headers = {name: text for name, text in signed(NEW, OLD).items() if name.startswith(family)}

    svix.webhooks.Webhook(secret).verify(BODY, headers)
    if family == "webhook-":
        assert standardwebhooks.Webhook(secret).verify(BODY, headers)


def test_the_current_secret_comes_first() -> None:
    at = _now()
    assert signed(NEW, OLD, at=at)["webhook-signature"].split() == [
        signed(NEW, at=at)["webhook-signature"],
        signed(OLD, at=at)["webhook-signature"],
    ]


def test_it_equals_what_the_library_signs() -> None:
    at = _now()

    expected = standardwebhooks.Webhook(OLD).sign("ab" * 32, datetime.fromtimestamp(at, UTC), BODY.decode())

    assert signed(OLD, at=at)["webhook-signature"] == expected


@pytest.mark.parametrize("change", ["body", "id", "time", "secret"])
def test_nothing_of_it_can_be_changed(change: str) -> None:
    headers, body, secret = signed(NEW), BODY, NEW
    if change == "body":
        body += b" "
    elif change == "id":
        headers["webhook-id"] = headers["svix-id"] = "cd" * 32
    elif change == "time":
        headers["webhook-timestamp"] = headers["svix-timestamp"] = str(_now() + 5)
    else:
        secret = OLD

    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(body, headers)
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        svix.webhooks.Webhook(secret).verify(body, headers)


def test_an_old_signature_is_refused_which_is_why_each_attempt_signs_afresh() -> None:
    headers = signed(NEW, at=_now() - int(timedelta(minutes=6).total_seconds()))

    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(NEW).verify(BODY, headers)
