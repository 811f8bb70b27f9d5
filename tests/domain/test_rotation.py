"""Two secrets sign while one takes the other's place."""

from typing import Any

import pytest

from witnd.domain.values.versions import CatalogueEntry
from witnd.domain.webhooks.notification import mistakes
from witnd.domain.webhooks.rotation import MAX_OVERLAP, SigningSecrets, overlap_content, signing_secrets

DAY = 24 * 3600 * 1000


def versions(*secrets: tuple[int, str] | tuple[int, str, int]) -> list[CatalogueEntry]:
    return [
        CatalogueEntry(
            kind="notification_rule",
            key="crm",
            effective_from=at,
            content={"secret": secret} | ({"secret_overlap": overlap[0]} if overlap else {}),
        )
        for at, secret, *overlap in secrets
    ]


def test_there_is_one_while_it_has_never_been_replaced() -> None:
    assert signing_secrets(versions((0, "a"), (50, "a")), 100) == SigningSecrets(secrets=("a",))
    assert signing_secrets([], 100).secrets == ()


def test_the_old_one_signs_too_for_a_day() -> None:
    known = versions((0, "a"), (100, "b"), (200, "b"))

    assert signing_secrets(known, 99).secrets == ("a",)
    assert signing_secrets(known, 100) == SigningSecrets(secrets=("b", "a"), until=100 + DAY)
    assert signing_secrets(known, 99 + DAY).secrets == ("b", "a")
    assert signing_secrets(known, 100 + DAY) == SigningSecrets(secrets=("b",))


def test_never_more_than_two() -> None:
    assert signing_secrets(versions((0, "a"), (1, "b"), (2, "c")), 3).secrets == ("c", "b")


def test_the_version_with_the_new_secret_says_for_how_long() -> None:
    known = versions((0, "a"), (1000, "b", 2), (1500, "b"))

    assert signing_secrets(known, 2999) == SigningSecrets(secrets=("b", "a"), until=3000)
    assert signing_secrets(known, 3000).secrets == ("b",)
    assert signing_secrets(versions((0, "a"), (1000, "b", 0)), 1000).secrets == ("b",)


@pytest.mark.parametrize("seconds", [-1, 1.5, True, "60", MAX_OVERLAP + 1])
def test_what_is_no_time_is_refused(seconds: Any) -> None:
    rule = {"name": "crm", "source": "both", "url": "https://example.com", "secret": "whsec_" + "A" * 32}
    assert [one.path for one in mistakes(rule | {"secret_overlap": seconds}, "rule")] == ["rule.secret_overlap"]
    assert mistakes(rule | {"secret_overlap": 60}, "rule") == []


def test_the_default_is_left_out() -> None:
    assert overlap_content(None) == overlap_content(86_400) == {}
    assert overlap_content(0) == {"secret_overlap": 0}
