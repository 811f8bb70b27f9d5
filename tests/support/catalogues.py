"""Catalogues for tests: entries with sensible content, and files made by Hypothesis."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any, cast

import redis
from hypothesis import strategies as st

from tests.support.companies import BILLING, SELLER, png
from tests.support.conditions import conditions, leaf
from tests.support.pricing import entries
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.chain import EMPTY, Head, head_after
from witnd.domain.catalogue.contract import read_agent
from witnd.domain.catalogue.customer import read_customer
from witnd.domain.catalogue.seller import read_seller
from witnd.domain.catalogue.tax import read_tax
from witnd.domain.pricing.ratecard import read_rate_card
from witnd.domain.values.mistake import Mistake
from witnd.store.keys import GlobalKeys

SECRET = "whsec_" + "A" * 32
READERS: dict[str, Callable[[str, Any, str], tuple[dict[str, Any], list[Mistake]]]] = {
    "customer": read_customer,
    "agent": read_agent,
    "rate_card": read_rate_card,
    "tax": read_tax,
    "seller": lambda _, raw, path: read_seller(raw, path),
}


def agent(key: str = "support", at: int = 0, **changes: Any) -> CatalogueEntry:
    archived = changes.pop("archived", False)
    return made("agent", key, at, {"condition": [leaf("replied", "seen")]} | changes, archived)


def rate_card(key: str = "standard", at: int = 0, **changes: Any) -> CatalogueEntry:
    """`prices` as keywords of agents: `prices={"support": "0.99"}`."""
    archived = changes.pop("archived", False)
    prices = changes.pop("prices", {"support": "0.99"})
    entries = [{"agent": name, "price_per_unit": price} for name, price in prices.items()]
    return made("rate_card", key, at, {"currency": "EUR", "entries": entries} | changes, archived)


def customer(key: str = "acme", at: int = 0, **changes: Any) -> CatalogueEntry:
    archived = changes.pop("archived", False)
    return made("customer", key, at, {"rate_card": "standard"} | changes, archived)


def tax(key: str = "full", at: int = 0, **changes: Any) -> CatalogueEntry:
    archived = changes.pop("archived", False)
    return made("tax", key, at, {"rate": "19", "category": "S"} | changes, archived)


def rule(name: str = "crm", at: int = 0, **changes: Any) -> CatalogueEntry:
    archived = changes.pop("archived", False)
    content = {
        "source": "both",
        "agent": None,
        "url": "https://example.com/hook",
        "secret": SECRET,
        "enabled": True,
    } | changes
    return CatalogueEntry(kind="notification_rule", key=name, effective_from=at, archived=archived, content=content)


def made(kind: str, key: str, at: int, raw: dict[str, Any], archived: bool) -> CatalogueEntry:
    content, wrong = READERS[kind](key, raw, "")
    assert wrong == []
    return CatalogueEntry(kind=kind, key=key, effective_from=at, archived=archived, content=content)


def catalogue(*entries: CatalogueEntry) -> Catalogue:
    found = Catalogue()
    for entry in entries:
        found.add(entry)
    return found


_keys = st.text(min_size=1, max_size=6)
_card_keys = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,5}", fullmatch=True)
# No spaces at the ends, and no control characters.
_printed = st.from_regex(r"[a-zé]([^\W_]| [^\W_])?", fullmatch=True)
_logos = st.integers(1, 9).map(lambda width: b64encode(png(width)).decode())
_archived = st.one_of(st.just({}), st.booleans().map(lambda flag: {"archived": flag}))


# Actions with characters that TOML has to quote.
timers = st.dictionaries(_keys, st.one_of(st.just("keep"), st.integers(1, 15_552_000)), min_size=1, max_size=3)


reversals = st.fixed_dictionaries(
    {"window": st.integers(1, 15_552_000), "on": st.lists(_keys, min_size=1, max_size=3, unique=True)}
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """The document of a catalogue file without mistakes."""
    cards = draw(st.lists(_card_keys, max_size=3, unique=True))
    agents = draw(st.lists(_keys, max_size=3, unique=True))
    taxes = draw(st.lists(_printed, max_size=2, unique=True))
    graded = {name: draw(st.lists(_keys, max_size=3, unique=True)) for name in agents}

    def optional(name: str, values: st.SearchStrategy[Any]) -> dict[str, Any]:
        return {name: draw(values)} if draw(st.booleans()) else {}

    def some(names: list[str]) -> list[str]:
        return draw(st.lists(st.sampled_from(names), unique=True)) if names else []

    def taxed() -> dict[str, Any]:
        return optional("tax", st.sampled_from(taxes)) if taxes else {}

    def priced() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for name in some(agents):
            grades = [{}, *[{"grade": grade} for grade in some(graded[name])]]
            found += [{"agent": name} | grade | draw(entries()) | taxed() for grade in grades]
        return found

    def rule(grades: list[str]) -> dict[str, Any]:
        if not grades:
            return {"condition": draw(conditions)}
        return {"grades": [{"key": key, "condition": draw(conditions)} | optional("name", _keys) for key in grades]}

    def recurring() -> dict[str, Any]:
        keys = draw(st.lists(_keys, max_size=2, unique=True))
        fees = [{"key": key, "amount": "9"} | taxed() for key in keys]
        return {"fees": fees} | ({"commitment": {"period_cap": "1"} | taxed()} if draw(st.booleans()) else {})

    def billing() -> dict[str, Any]:
        names = draw(st.lists(st.sampled_from([name for name in BILLING if name != "tax"]), unique=True))
        return optional("billing", st.just({name: BILLING[name] for name in names} | taxed()))

    def seller() -> dict[str, Any]:
        names = draw(st.lists(st.sampled_from([name for name in SELLER if name != "logo"]), unique=True))
        given = {name: SELLER[name] for name in names} | optional("logo", _logos) | draw(_archived)
        return given | {"name": draw(_printed)} | optional("footer", _printed)

    def of_its_own() -> dict[str, Any]:
        if not cards:
            return optional("agents", st.just([own_terms(name) for name in some(agents)]))
        return draw(
            st.sampled_from(
                [
                    {},
                    {"rate_card": draw(st.sampled_from(cards))},
                    {"rate_card": draw(st.sampled_from(cards)), "entries": priced()},
                    {"agents": [own_terms(name) for name in some(agents)]},
                ]
            )
        )

    def own_terms(name: str) -> dict[str, Any]:
        given = optional("name", _keys) | optional("settlement_period", st.integers(1, 9))
        given |= optional("attribution_method", st.sampled_from(["first", "sum"]))
        given |= optional("timers", st.one_of(st.just({}), timers))
        given |= optional("reversal", st.one_of(st.just({}), reversals))
        return {"agent": name} | (given or rule(draw(st.sampled_from([[], graded[name]]))))

    return optional("seller", st.just(seller())) | {
        "taxes": [
            {"key": key}
            | draw(st.sampled_from([{"rate": "7.50", "category": "S"}, {"rate": "0", "category": "AE"}]))
            | optional("name", _printed)
            | optional("note", _printed)
            | draw(_archived)
            for key in taxes
        ],
        "customers": [
            {"key": key}
            | optional("name", _keys)
            | optional("email", st.just("billing@acme.com"))
            | of_its_own()
            | billing()
            | draw(_archived)
            for key in draw(st.lists(_keys, max_size=3, unique=True))
        ],
        "agents": [
            {"key": key}
            | rule(graded[key])
            | optional("name", _keys)
            | optional("timers", timers)
            | optional("reversal", reversals)
            | optional("settlement_period", st.integers(1, 15_552_000))
            | optional("attribution_method", st.sampled_from(["first", "sum"]))
            | draw(_archived)
            for key in agents
        ],
        "rate_cards": [
            {
                "key": key,
                "currency": draw(st.sampled_from(["EUR", "JPY"])),
                "entries": priced(),
            }
            | recurring()
            | draw(_archived)
            for key in cards
        ],
        "notification_rules": [
            {
                "name": name,
                "source": draw(st.sampled_from(["outcome_confirmed", "outcome_missed", "both"])),
                "url": "https://example.com/hook",
            }
            | (optional("agent", st.sampled_from(agents)) if agents else {})
            | optional("secret", st.just(SECRET))
            | optional("enabled", st.booleans())
            | draw(_archived)
            for name in draw(st.lists(_keys, max_size=2, unique=True))
        ],
    }


def append_entry(client: redis.Redis, entry: bytes) -> None:
    """Append a stored version as the script does, at whatever instant it has."""
    keys = GlobalKeys("witn")
    raw = client.get(keys.catalogue_head)
    head = EMPTY if raw is None else Head.parse(cast("bytes", raw))
    client.rpush(keys.catalogue, entry)
    client.set(keys.catalogue_head, str(head_after(head, [entry])))


def replace_entries(client: redis.Redis, part: slice) -> None:
    """Leave a part of the catalogue as if it were all that was ever written: what is missing shows nowhere."""
    keys = GlobalKeys("witn")
    entries = cast("list[bytes]", client.lrange(keys.catalogue, 0, -1))
    client.delete(keys.catalogue, keys.catalogue_head)
    for entry in entries[part]:
        append_entry(client, entry)
