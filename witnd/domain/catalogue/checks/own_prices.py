"""Check the currency of customers' own prices.

Own prices are in the currency that the rate card had when they were written. A change that would bill the same numbers
in another currency is refused: another card, or another currency of the card, now or in a scheduled version. The prices
must be written again.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.file import Item
from witnd.domain.pricing.entry import TAX
from witnd.domain.pricing.ratecard import DIGITS
from witnd.domain.pricing.recurring import COMMITMENT, FEES, fraction_digits, input_content
from witnd.domain.values import instant
from witnd.domain.values.fields import field_path, short_repr
from witnd.domain.values.mistake import Mistake

Content: TypeAlias = Mapping[str, Any]
#: Fields of a customer with amounts in the currency of its card.
OWN_AMOUNTS = ("entries", FEES, COMMITMENT)
_CUSTOMER, _CARD = "customer", "rate_card"
# Agents that one message names.
_MAX_NAMED = 3


class _History:
    """The versions of one key by instant, including the one that a change adds."""

    def __init__(self, catalogue: Catalogue, kind: str, key: str, item: Item | None, at: int) -> None:
        entries = catalogue.versions(kind, key)
        self.starts = [entry.effective_from for entry in entries]
        self.contents: list[Content] = [entry.content for entry in entries]
        self.item = item
        self.added = None
        if item is not None:
            self.added = bisect_right(self.starts, at)
            self.starts.insert(self.added, at)
            self.contents.insert(self.added, item.content)

    def at(self, ms: int) -> Content | None:
        """Return the version in effect at an instant; before the first version, the first one."""
        return self.contents[max(0, bisect_right(self.starts, ms) - 1)] if self.contents else None

    def end(self, place: int) -> int | None:
        return self.starts[place + 1] if place + 1 < len(self.starts) else None


class _Change:
    """The changes of the catalogue from an instant on."""

    def __init__(self, catalogue: Catalogue, items: Sequence[Item], at: int) -> None:
        self.at = at
        self.items: dict[tuple[str, str], Item] = {}  # those that make a new version
        self.paths: dict[tuple[str, str], str] = {}
        self._catalogue = catalogue
        self._cards: dict[tuple[str, bool], _History] = {}
        for item in items:
            old = catalogue.entry(item.kind, item.key, at)
            self.paths[item.kind, item.key] = item.path
            if old is None or (old.content, old.archived) != (item.content, item.archived):
                self.items[item.kind, item.key] = item

    def customers(self) -> list[str]:
        """Return the customers whose own prices could change their currency."""
        moved = {key for kind, key in self.items if kind == _CARD and len(set(self._currencies(key))) > 1}
        keys = {key for kind, key in self.items if kind == _CUSTOMER}
        if moved:
            for key in self._catalogue.keys(_CUSTOMER):
                if any(one.content["rate_card"] in moved for one in self._catalogue.versions(_CUSTOMER, key)):
                    keys.add(key)
        return sorted(keys)

    def customer(self, key: str) -> _History:
        return _History(self._catalogue, _CUSTOMER, key, self.items.get((_CUSTOMER, key)), self.at)

    def currency(self, customer: Content, ms: int, *, before: bool = False) -> str | None:
        """Return the currency of the customer's card at an instant, with the change or `before` it; None without a
        card."""
        key = customer["rate_card"]
        found = None if key is None else self._card(key, before=before).at(ms)
        return None if found is None else str(found["currency"])

    def later_currencies(self, customer: Content, start: int, end: int | None) -> list[tuple[int, str]]:
        """Return the currencies of the customer's card from `start` to `end`, each with its instant."""
        key = customer["rate_card"]
        first = self.currency(customer, start)
        if key is None or first is None:
            return []
        card = self._card(key)
        return [(start, first)] + [
            (ms, content["currency"])
            for ms, content in zip(card.starts, card.contents, strict=True)
            if ms > start and (end is None or ms < end)
        ]

    def _currencies(self, card: str) -> list[str]:
        return [content["currency"] for content in self._card(card).contents]

    def _card(self, key: str, *, before: bool = False) -> _History:
        found = self._cards.get((key, before))
        if found is None:
            item = None if before else self.items.get((_CARD, key))
            found = self._cards[key, before] = _History(self._catalogue, _CARD, key, item, self.at)
        return found


def currency_mistakes(catalogue: Catalogue, items: Sequence[Item], at: int) -> list[Mistake]:
    """Return mistakes for customers' own prices that the items would bill in another currency."""
    change = _Change(catalogue, items, at)
    found: list[Mistake] = []
    for key in change.customers():
        history = change.customer(key)
        for place, content in enumerate(history.contents):
            end = history.end(place)
            if _own_amounts(content) and (end is None or end > at):
                problem = _problem(change, history, place)
                if problem is not None:
                    found.append(Mistake(_path(change, key, content), f"{_customer_prefix(change, key)}{problem}"))
                    break
    return found + _precision_mistakes(catalogue, items, at)


def _precision_mistakes(catalogue: Catalogue, items: Sequence[Item], at: int) -> list[Mistake]:
    """Return mistakes for customers' own fees and commitments that are finer than the minor unit of their currency."""
    written = {item.key: item.content for item in items if item.kind == _CARD}
    found: list[Mistake] = []
    for item in items:
        key = item.content["rate_card"] if item.kind == _CUSTOMER else None
        if key is None:
            continue
        stored = catalogue.entry(_CARD, key, at)
        card = written.get(key) or (None if stored is None else stored.content)
        if card is None:
            continue
        for name, places in fraction_digits(item.content):
            if places > card[DIGITS]:
                problem = f"has {places} digits after the point, and {card['currency']} has {card[DIGITS]}"
                found.append(Mistake(field_path(item.path, name), problem, "write an amount that can be billed"))
    return found


def _problem(change: _Change, history: _History, place: int) -> str | None:
    """Return the problem of a version's own prices, or None if they keep their currency."""
    content, start = history.contents[place], max(history.starts[place], change.at)
    spans = change.later_currencies(content, start, history.end(place))
    if not spans:
        return None
    if place == history.added:
        before = history.contents[place - 1] if place else None
        if before is not None and (wrong := _copied_prices(change, before, content, history, spans[0][1])) is not None:
            return wrong
        written = spans[0][1]
    else:
        # Written earlier, in the currency that the card had then, or will have when a scheduled version takes effect.
        asked = history.starts[place] if history.starts[place] >= change.at else change.at - 1
        written = change.currency(content, asked, before=True) or spans[0][1]
    for ms, currency in spans:
        if currency != written:
            return _problem_text(list(_own_amounts(content)), written, content["rate_card"], currency, ms)
    return None


def _copied_prices(change: _Change, before: Content, content: Content, history: _History, currency: str) -> str | None:
    """Return the problem of prices that a new version copies unchanged from one in another currency, or None."""
    if history.item is not None and history.item.rewritten:
        return None
    old = change.currency(before, change.at - 1, before=True)
    known = _own_amounts(before)
    kept = [name for name, value in _own_amounts(content).items() if known.get(name) == value]
    if old is None or old == currency or not kept:
        return None
    return _problem_text(kept, old, content["rate_card"], currency, change.at)


def _own_amounts(content: Content) -> dict[str, object]:
    """Return the customer's own entries, fees and commitment by their names for people."""
    written = input_content(content)
    found: dict[str, Content] = {short_repr(entry["agent"]): entry for entry in written.get("entries", ())}
    found |= {f"fee {short_repr(fee['key'])}": fee for fee in written.get(FEES, ())}
    found |= {"the commitment": written[COMMITMENT]} if COMMITMENT in written else {}
    # Another tax does not write a price again.
    return {what: {name: value for name, value in terms.items() if name != TAX} for what, terms in found.items()}


def _problem_text(names: Sequence[str], written: str, card: str, currency: str, ms: int) -> str:
    named = ", ".join(names[:_MAX_NAMED])
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return (
        f"own prices for {named}{more} are in {written}, but rate card {short_repr(card)} is in {currency} "
        f"from {instant.render(ms)}; write these prices in {currency} in the same change, or remove them first"
    )


def _customer_prefix(change: _Change, key: str) -> str:
    return "" if (_CUSTOMER, key) in change.paths else f"customer {short_repr(key)}: "


def _path(change: _Change, key: str, content: Content) -> str:
    if (_CUSTOMER, key) in change.paths:
        name = next(one for one in OWN_AMOUNTS if content.get(one))
        return field_path(change.paths[_CUSTOMER, key], name)
    return field_path(change.paths.get((_CARD, content["rate_card"]), ""), "currency")
