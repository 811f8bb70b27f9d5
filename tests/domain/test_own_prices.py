"""A customer's own prices keep the currency in which they were written."""

from typing import Any

import pytest

from tests.support.catalogues import agent, catalogue, customer, rate_card
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.checks.own_prices import currency_mistakes
from witnd.domain.catalogue.file import Item, read
from witnd.domain.values.mistake import Mistake

NOW = 1000
OWN = {"entries": [{"agent": "support", "price_per_unit": "1500"}]}
YEN = {"currency": "JPY", "prices": {"support": "1400"}}


def stored(*more: Any) -> Catalogue:
    """A customer with own prices under a card in JPY, and a card in EUR."""
    return catalogue(agent(), rate_card(**YEN), rate_card("euro"), customer(**OWN), *more)


def items(known: Catalogue, **sections: Any) -> tuple[Item, ...]:
    file = read(sections, known)
    assert file.mistakes == ()
    return file.items


def problems(known: Catalogue, at: int = NOW, **sections: Any) -> list[Mistake]:
    return currency_mistakes(known, items(known, **sections), at)


def card(key: str = "standard", currency: str = "EUR") -> dict[str, Any]:
    return {"key": key, "currency": currency, "entries": [{"agent": "support", "price_per_unit": "14"}]}


def acme(price: str = "1500", card: str = "standard", **more: Any) -> dict[str, Any]:
    return {"key": "acme", "rate_card": card, "entries": [{"agent": "support", "price_per_unit": price}]} | more


def test_a_card_that_changes_its_currency_is_refused_while_a_customer_has_own_prices() -> None:
    [wrong] = problems(stored(), rate_cards=[card()])
    assert wrong.path == "rate_cards[0].currency"
    assert wrong.message == (
        'customer "acme": own prices for "support" are in JPY, but rate card "standard" is in EUR from '
        "1970-01-01T00:00:01.000Z; write these prices in EUR in the same change, or remove them first"
    )


def test_own_prices_that_the_file_repeats_unchanged_are_not_written_again() -> None:
    [wrong] = problems(stored(), rate_cards=[card()], customers=[acme()])
    assert wrong.path == "customers[0].entries"
    assert problems(stored(), rate_cards=[card()], customers=[acme("15")]) == []
    assert problems(stored(), rate_cards=[card()], customers=[{"key": "acme", "rate_card": "standard"}]) == []


def test_a_customer_that_gets_a_card_in_another_currency_is_refused_with_the_old_prices() -> None:
    [wrong] = problems(stored(), customers=[acme(card="euro")])
    assert wrong.path == "customers[0].entries"
    assert problems(stored(), customers=[acme("15", card="euro")]) == []


def test_each_price_that_is_taken_over_is_named_and_others_are_not() -> None:
    known = stored(agent("sales"))
    both = [{"agent": "sales", "price_per_unit": "20"}, {"agent": "support", "price_per_unit": "1500"}]
    [wrong] = problems(known, customers=[acme(card="euro") | {"entries": both}])
    assert '"support"' in wrong.message
    assert '"sales"' not in wrong.message


def test_prices_that_are_written_again_may_have_the_same_numbers() -> None:
    [item] = items(stored(), customers=[acme(card="euro")])
    again = Item(kind=item.kind, key=item.key, archived=False, content=item.content, path="", rewritten=True)
    assert currency_mistakes(stored(), [again], NOW) == []


def test_a_card_that_is_scheduled_to_change_is_seen_from_both_sides() -> None:
    # First the customer, then the card, or the other way round.
    assert problems(stored(), at=5000, rate_cards=[card()])
    later = catalogue(agent(), rate_card(**YEN), rate_card(at=5000), customer())
    [wrong] = problems(later, customers=[acme()])
    assert "1970-01-01T00:00:05.000Z" in wrong.message
    with_both = catalogue(agent(), rate_card(**YEN), rate_card(at=5000), customer(), customer(at=5000))
    assert problems(with_both, customers=[acme()]) == []


def test_a_scheduled_version_of_the_customer_keeps_its_currency_too() -> None:
    known = stored(customer(at=5000, entries=[{"agent": "support", "price_per_unit": "1700"}]))
    [wrong] = problems(known, rate_cards=[card()], customers=[acme("15")])
    assert wrong.path == "customers[0].entries"
    assert "1970-01-01T00:00:05.000Z" in wrong.message


@pytest.mark.parametrize("archived", [False, True])
def test_an_archived_customer_still_pays_and_is_looked_at(archived: bool) -> None:
    known = catalogue(agent(), rate_card(**YEN), customer(archived=archived, **OWN))
    assert len(problems(known, rate_cards=[card()])) == 1


def test_what_is_past_and_what_keeps_its_currency_is_left_alone() -> None:
    known = stored(customer(at=500))
    assert problems(known, rate_cards=[card()]) == []
    assert problems(stored(), rate_cards=[card(currency="JPY")]) == []
    assert problems(stored(), customers=[acme("1600")]) == []
    assert problems(stored(), customers=[acme(archived=True)]) == []


def test_a_new_customer_may_have_prices_under_a_card_that_had_another_currency_before() -> None:
    known = catalogue(agent(), rate_card(**YEN), rate_card(at=500))
    assert problems(known, customers=[acme("15")]) == []


def test_another_tax_does_not_write_a_price_again() -> None:
    taxed = acme(card="euro", entries=[{"agent": "support", "price_per_unit": "1500", "tax": "vat"}])
    [wrong] = problems(stored(), customers=[taxed])
    assert wrong.path == "customers[0].entries"
