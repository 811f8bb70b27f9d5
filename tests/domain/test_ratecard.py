"""Rate cards: what may stand in one, and the address of a price."""

from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from witnd.domain.ratecard import Price, RateCard, read_rate_card


def entry(**changes: Any) -> dict[str, Any]:
    return {"agent": "support", "price_per_unit": "0.99"} | changes


def mistakes(key: str = "standard", **raw: Any) -> list[tuple[str, str]]:
    _, wrong = read_rate_card(key, {"currency": "EUR", "entries": []} | raw, "rate_cards[0]")
    return [(mistake.path, mistake.message) for mistake in wrong]


def card(**raw: Any) -> RateCard:
    content, wrong = read_rate_card("standard", {"currency": "EUR"} | raw, "")
    assert wrong == []
    return RateCard.from_content("standard", content)


def test_a_price_knows_its_currency_and_minor_digits() -> None:
    price = card(entries=[entry(price_per_unit="0.990")]).prices["support"]
    assert (price.rate_card, price.currency, price.agent, price.kind) == (
        "standard",
        "EUR",
        "support",
        "flat",
    )
    assert (price.price_per_unit, price.exponent) == (Decimal("0.99"), 2)


def test_the_hash_is_the_sha_256_of_the_canonical_json() -> None:
    text = '{"agent":"support","currency":"EUR","kind":"flat","price_per_unit":"0.99","rate_card":"standard"}'
    price = card(entries=[entry(price_per_unit="00.9900")]).prices["support"]
    assert price.hash == sha256(text.encode()).hexdigest()


def test_the_same_price_on_another_card_has_another_hash() -> None:
    content, _ = read_rate_card("other", {"currency": "EUR", "entries": [entry()]}, "")
    other = RateCard.from_content("other", content).prices["support"]
    assert other.hash != card(entries=[entry()]).prices["support"].hash


def test_the_order_of_entries_is_no_content() -> None:
    first, second = entry(), entry(agent="sales")
    one, _ = read_rate_card("k", {"currency": "EUR", "entries": [first, second]}, "")
    other, _ = read_rate_card("k", {"currency": "EUR", "entries": [second, first]}, "")
    assert one == other


def test_a_card_without_entries_is_a_card() -> None:
    assert card().prices == {}


@pytest.mark.parametrize("key", ["a", "0", "standard-2026_q1", "9-"])
def test_keys_of_small_letters_digits_and_dashes_are_taken(key: str) -> None:
    assert mistakes(key) == []


@pytest.mark.parametrize("key", ["A", "-a", "_a", "a b", "é", "a\n", "a" * 256])
def test_other_keys_are_refused(key: str) -> None:
    assert [path for path, _ in mistakes(key)] == ["rate_cards[0].key"]


@pytest.mark.parametrize("currency", ["XAU", "EURO", "", 978, None, "ZZZ"])
def test_a_currency_without_minor_unit_is_refused(currency: object) -> None:
    assert [path for path, _ in mistakes(currency=currency)] == ["rate_cards[0].currency"]


def test_a_currency_in_small_letters_is_answered_with_the_right_spelling() -> None:
    [(path, message)] = mistakes(currency="eur")
    assert path == "rate_cards[0].currency"
    assert '"EUR"' in message


@pytest.mark.parametrize("price", [0.99, 1, True, [], {}])
def test_a_price_that_is_no_string_is_refused_with_the_remedy(price: object) -> None:
    [(path, message)] = mistakes(entries=[entry(price_per_unit=price)])
    assert path == "rate_cards[0].entries[0].price_per_unit"
    assert "write it as a string" in message


@pytest.mark.parametrize("price", ["-1", "NaN", "1e3", "1_0", " 1", "0.1234567890123", ""])
def test_a_string_that_is_no_price_is_refused(price: str) -> None:
    paths = [path for path, _ in mistakes(entries=[entry(price_per_unit=price)])]
    assert paths == ["rate_cards[0].entries[0].price_per_unit"]


def test_a_free_unit_is_a_price() -> None:
    assert mistakes(entries=[entry(price_per_unit="0")]) == []


@pytest.mark.parametrize("kind", ["graduated", "volume", "package", "percentage"])
def test_kinds_of_later_versions_are_refused_by_name(kind: str) -> None:
    [(path, message)] = mistakes(entries=[entry(kind=kind)])
    assert path == "rate_cards[0].entries[0].kind"
    assert message.startswith(f"{kind} is not available in this version")


def test_an_unknown_kind_is_refused_and_flat_is_taken() -> None:
    assert [path for path, _ in mistakes(entries=[entry(kind="tiered")])] == ["rate_cards[0].entries[0].kind"]
    assert mistakes(entries=[entry(kind="flat")]) == []


def test_an_agent_has_one_entry() -> None:
    [(path, message)] = mistakes(entries=[entry(), entry(price_per_unit="2")])
    assert path == "rate_cards[0].entries[1].agent"
    assert "second time" in message


def test_every_mistake_is_told_at_once() -> None:
    found = mistakes("Standard", currency="eur", entries=[{}, entry(price=1), 3], extra=1)
    assert [path for path, _ in found] == [
        "rate_cards[0].extra",
        "rate_cards[0].key",
        "rate_cards[0].currency",
        "rate_cards[0].entries[0].agent",
        "rate_cards[0].entries[0].price_per_unit",
        "rate_cards[0].entries[1].price",
        "rate_cards[0].entries[2]",
    ]


@pytest.mark.parametrize("entries", ["text", 3, {"agent": "a"}])
def test_entries_are_a_list(entries: object) -> None:
    assert [path for path, _ in mistakes(entries=entries)] == ["rate_cards[0].entries"]


def test_a_price_in_no_currency_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="XAU"):
        Price(rate_card="k", currency="XAU", agent="a", price_per_unit=Decimal(1))
