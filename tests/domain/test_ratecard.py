"""Rate cards: what may stand in one, and the address of a price."""

from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from witnd.domain.pricing.ratecard import MAX_TIERS, Price, RateCard, Tier, read_entries, read_rate_card
from witnd.domain.values.fields import Table

STEPS = [{"up_to": "100", "price_per_unit": "1.00", "flat_fee": "5"}, {"price_per_unit": "0.50"}]


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
    price = card(entries=[entry(price_per_unit="0.990")]).entries["support"][None]
    assert (price.rate_card, price.currency, price.agent, price.kind) == (
        "standard",
        "EUR",
        "support",
        "flat",
    )
    assert (price.price_per_unit, price.exponent) == (Decimal("0.99"), 2)


def test_the_hash_is_the_sha_256_of_the_canonical_json() -> None:
    text = '{"agent":"support","currency":"EUR","kind":"flat","price_per_unit":"0.99","rate_card":"standard"}'
    price = card(entries=[entry(price_per_unit="00.9900")]).entries["support"][None]
    assert price.hash == sha256(text.encode()).hexdigest()


def test_the_same_price_on_another_card_has_another_hash() -> None:
    content, _ = read_rate_card("other", {"currency": "EUR", "entries": [entry()]}, "")
    other = RateCard.from_content("other", content).entries["support"][None]
    assert other.hash != card(entries=[entry()]).entries["support"][None].hash


def test_the_order_of_entries_is_no_content() -> None:
    first, second = entry(), entry(agent="sales")
    one, _ = read_rate_card("k", {"currency": "EUR", "entries": [first, second]}, "")
    other, _ = read_rate_card("k", {"currency": "EUR", "entries": [second, first]}, "")
    assert one == other


def test_a_card_without_entries_is_a_card() -> None:
    assert card().entries == {}


@pytest.mark.parametrize("key", ["a", "0", "standard-2026_q1", "9-", "a" * 255])
def test_keys_of_small_letters_digits_and_dashes_are_taken(key: str) -> None:
    assert mistakes(key) == []


@pytest.mark.parametrize("key", ["A", "-a", "_a", "a b", "é", "a\n", "a" * 256])
def test_other_keys_are_refused(key: str) -> None:
    assert [path for path, _ in mistakes(key)] == ["rate_cards[0].key"]


@pytest.mark.parametrize("currency", ["XAU", "EURO", "", 978, None, "ZZZ"])
def test_a_currency_without_minor_unit_is_refused(currency: object) -> None:
    assert [path for path, _ in mistakes(currency=currency)] == ["rate_cards[0].currency"]


def test_a_missing_currency_is_told_from_a_wrong_one() -> None:
    assert [message.split(";")[0] for _, message in mistakes(currency=None)] == ["is missing"]
    assert [message.split(";")[0] for _, message in mistakes(currency=978)] == ["is 978"]


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


def test_an_unknown_kind_is_refused_and_nothing_is_said_of_its_fields() -> None:
    [(path, message)] = mistakes(entries=[entry(kind="tiered", tiers=3)])
    assert path == "rate_cards[0].entries[0].kind"
    assert message == 'is "tiered"; write one of flat, graduated, volume, package, percentage'
    assert mistakes(entries=[entry(kind="flat")]) == []


def test_an_agent_has_one_entry() -> None:
    [(path, message)] = mistakes(entries=[entry(), entry(price_per_unit="2")])
    assert path == "rate_cards[0].entries[1].agent"
    assert "must not be repeated" in message


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


# -- every kind -------------------------------------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "flat": {"price_per_unit": "0.990"},
    "graduated": {"kind": "graduated", "tiers": STEPS},
    "volume": {"kind": "volume", "tiers": STEPS},
    "package": {"kind": "package", "package_size": "100.0", "price_per_package": "9.00"},
    "percentage": {"kind": "percentage", "percent": "2.50", "minimum": "0.10", "maximum": "30.0"},
}
OPTIONS = {"free_quota": "50.0", "period_minimum": "10.00", "period_cap": "500.00"}
CANONICAL: dict[str, dict[str, Any]] = {
    "flat": {"price_per_unit": "0.99"},
    "graduated": {"tiers": [{"up_to": "100", "price_per_unit": "1", "flat_fee": "5"}, {"price_per_unit": "0.5"}]},
    "volume": {"tiers": [{"up_to": "100", "price_per_unit": "1", "flat_fee": "5"}, {"price_per_unit": "0.5"}]},
    "package": {"package_size": "100", "price_per_package": "9"},
    "percentage": {"percent": "2.5", "minimum": "0.1", "maximum": "30"},
}
each_kind = pytest.mark.parametrize("kind", sorted(KINDS))


def canonical(**raw: Any) -> dict[str, Any]:
    content, wrong = read_rate_card("standard", {"currency": "EUR", "entries": [{"agent": "support"} | raw]}, "")
    assert wrong == []
    [entry] = content["entries"]
    return entry


def price(**raw: Any) -> Price:
    return Price.from_entry("standard", "EUR", 2, canonical(**raw))


@each_kind
def test_the_canonical_entry_has_plain_decimals(kind: str) -> None:
    assert canonical(**KINDS[kind]) == {"agent": "support", "kind": kind} | CANONICAL[kind]


@each_kind
def test_every_kind_takes_a_quota_a_minimum_and_a_cap(kind: str) -> None:
    options = {"free_quota": "50", "period_minimum": "10", "period_cap": "500"}
    assert canonical(**KINDS[kind], **OPTIONS) == {"agent": "support", "kind": kind} | CANONICAL[kind] | options


@each_kind
def test_the_canonical_entry_reads_as_itself(kind: str) -> None:
    once = canonical(**KINDS[kind], **OPTIONS)
    assert canonical(**once) == once
    assert Price.from_entry("standard", "EUR", 2, once).entry == once


@each_kind
def test_the_hash_is_that_of_the_entry_on_its_card(kind: str) -> None:
    one = price(**KINDS[kind], **OPTIONS)
    assert one.content == {"rate_card": "standard", "currency": "EUR"} | canonical(**KINDS[kind], **OPTIONS)
    assert one == price(**canonical(**KINDS[kind]), **{name: f"{text}0" for name, text in OPTIONS.items()})
    assert one != price(**KINDS[kind])


@each_kind
def test_a_price_of_a_customer_tells_so_and_is_another_price(kind: str) -> None:
    read = canonical(**KINDS[kind])
    own = Price.from_entry("standard", "EUR", 2, read, customer="acme")
    assert own.content == price(**KINDS[kind]).content | {"customer": "acme"}
    assert own != price(**KINDS[kind])
    assert own != Price.from_entry("standard", "EUR", 2, read, customer="globex")


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [
        ("flat", {"free_quota": "0", "period_minimum": "0.00"}),
        ("percentage", {"minimum": "0"}),
    ],
)
def test_what_says_the_default_is_no_content(kind: str, defaults: dict[str, str]) -> None:
    fields = {name: value for name, value in KINDS[kind].items() if name not in defaults}
    assert canonical(**fields, **defaults) == canonical(**fields)


def test_a_flat_fee_of_nothing_is_no_content_and_a_cap_of_nothing_is() -> None:
    assert canonical(kind="volume", tiers=[{"price_per_unit": "1", "flat_fee": "0.0"}])["tiers"] == [
        {"price_per_unit": "1"}
    ]
    assert canonical(price_per_unit="1", period_cap="0.0")["period_cap"] == "0"


@pytest.mark.parametrize(
    ("raw", "at_close"),
    [
        ({"price_per_unit": "1"}, False),
        ({"price_per_unit": "1", "free_quota": "0"}, False),
        ({"price_per_unit": "1", "free_quota": "0.5"}, True),
        ({"price_per_unit": "1", "period_minimum": "1"}, True),
        ({"price_per_unit": "1", "period_cap": "0"}, True),
        (KINDS["percentage"], False),
        (KINDS["percentage"] | {"free_quota": "1"}, True),
        (KINDS["graduated"], True),
        (KINDS["volume"], True),
        (KINDS["package"], True),
    ],
)
def test_what_needs_the_whole_period_is_rated_at_its_close(raw: dict[str, Any], at_close: bool) -> None:
    assert price(**raw).is_rated_at_close is at_close


def test_a_price_has_its_numbers_as_decimals() -> None:
    one = price(**KINDS["graduated"], **OPTIONS)
    assert one.tiers == (
        Tier(up_to=Decimal(100), price_per_unit=Decimal(1), flat_fee=Decimal(5)),
        Tier(price_per_unit=Decimal("0.5")),
    )
    assert (one.price_per_unit, one.free_quota, one.period_minimum, one.period_cap) == (None, 50, 10, 500)
    assert one.borders == (100,)


# -- everything that can be wrong -------------------------------------------------------------------------------------

LAST = {"price_per_unit": "1"}


def tiers(*borders: object) -> list[dict[str, Any]]:
    """Tiers with these ends; None for a tier without one."""
    return [LAST if border is None else LAST | {"up_to": border} for border in borders]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    *(
        ({"kind": kind}, field, "is missing")
        for kind, fields in {
            "flat": ["price_per_unit"],
            "graduated": ["tiers"],
            "volume": ["tiers"],
            "package": ["package_size", "price_per_package"],
            "percentage": ["percent"],
        }.items()
        for field in fields
    ),
    *(
        (KINDS[kind] | {field: value}, field, message)
        for kind, fields in {
            "flat": ["price_per_unit", *OPTIONS],
            "package": ["package_size", "price_per_package"],
            "percentage": ["percent", "minimum", "maximum"],
        }.items()
        for field in fields
        for value, message in [
            ("-1", "must not be negative"),
            ("1e3", "must be a plain decimal number"),
            ("", "must be a plain decimal number"),
            ("NaN", "must be a plain decimal number"),
            ("1.0000000000001", "has more than 12 digits after the point"),
            ("1" + "0" * 18, "has more than 18 digits before the point"),
            (1, "write it as a string"),
            (1.5, "write it as a string"),
            (True, "write it as a string"),
            ([], "write it as a string"),
        ]
    ),
    *(
        (KINDS[kind] | {field: KINDS[owner][field]}, field, f"belongs to other kinds, and this entry is {kind}")
        for kind in KINDS
        for owner in KINDS
        for field in KINDS[owner]
        if field != "kind" and field not in KINDS[kind]
    ),
    ({"kind": "package", "package_size": "0", "price_per_package": "1"}, "package_size", "must be greater than 0"),
    ({"kind": "percentage", "percent": "1", "minimum": "2", "maximum": "1.5"}, "maximum", "must be at least 2,"),
    ({"price_per_unit": "1", "period_minimum": "2", "period_cap": "1"}, "period_cap", "must be at least 2,"),
    ({"kind": 3}, "kind", "is 3; write one of flat, graduated, volume, package, percentage"),
    ({"kind": "Flat"}, "kind", 'is "Flat"'),
    *(
        ({"kind": kind, "tiers": value}, f"tiers{place}", message)
        for kind in ("graduated", "volume")
        for value, place, message in [
            ("1", "", 'must be a list of tiers, got "1"'),
            ({"up_to": "1"}, "", "must be a list of tiers, got a table"),
            ([], "", f"has 0 tiers; write 1 to {MAX_TIERS}"),
            (tiers(*map(str, range(1, 101)), None), "", "has 101 tiers"),
            ([3], "[0]", "must be a table of fields, got 3"),
            ([LAST | {"upto": "1"}], "[0].upto", "did you mean up_to?"),
            ([{"up_to": "1"}, LAST], "[0].price_per_unit", "is missing"),
            ([LAST | {"flat_fee": "-1"}], "[0].flat_fee", "must not be negative"),
            ([LAST | {"flat_fee": 1}], "[0].flat_fee", "write it as a string"),
            (tiers("0", None), "[0].up_to", "must be greater than 0"),
            (tiers("100", "100", None), "[1].up_to", "must be greater than 100, where the tier before ends"),
            (tiers("100", "50", None), "[1].up_to", "must be greater than 100"),
            (tiers("100", "50", "100.0", None), "[2].up_to", "must be greater than 100"),
            (tiers(100, None), "[0].up_to", "is 100; write it as a string"),
            (tiers("1e2", None), "[0].up_to", "must be a plain decimal number"),
            (tiers(None, None), "[0].up_to", "is missing; only the last tier has no end"),
            (tiers("100"), "[0].up_to", "must be absent: the last tier has no end"),
            (tiers("100", "200"), "[1].up_to", "must be absent: the last tier has no end"),
        ]
    ),
]


@pytest.mark.parametrize(("raw", "place", "message"), WRONG)
def test_what_is_wrong_in_an_entry_is_told_with_its_path(raw: dict[str, Any], place: str, message: str) -> None:
    found = mistakes(entries=[entry(), {"agent": "sales"} | raw])
    path = f"rate_cards[0].entries[1].{place}"
    assert [said for at, said in found if at == path and message in said], found
    if place != "tiers[2].up_to":
        assert {at for at, _ in found} <= {path, *_besides(raw)}


def _besides(raw: dict[str, Any]) -> set[str]:
    """Where a case has a mistake besides the one it is about: a package has two fields that may be missing."""
    fields = {"package": ("package_size", "price_per_package"), "flat": ("price_per_unit",)}
    missing = [name for name in fields.get(raw.get("kind", ""), ()) if name not in raw]
    return {f"rate_cards[0].entries[1].{name}" for name in missing}


def test_a_border_that_does_not_rise_is_told_as_people_say_it() -> None:
    graduated = {"agent": "b", "kind": "graduated"}
    wrong = [entry(), entry(agent="a"), graduated | {"tiers": tiers("100", "100", None)}]
    _, [mistake] = read_rate_card("standard", {"currency": "EUR", "entries": wrong}, "")
    assert str(mistake).startswith("entries[2].tiers[1].up_to: must be greater than 100")


def test_all_mistakes_of_all_entries_are_told_at_once() -> None:
    found = mistakes(
        entries=[
            {"agent": "a", "kind": "graduated", "tiers": [{"up_to": "5"}, {"up_to": "5", "price_per_unit": 1}]},
            {"agent": "b", "kind": "percentage", "percent": "-1", "period_cap": "x", "tiers": []},
        ]
    )
    assert [path.removeprefix("rate_cards[0].entries") for path, _ in found] == [
        "[0].tiers[0].price_per_unit",
        "[0].tiers[1].up_to",
        "[0].tiers[1].up_to",
        "[0].tiers[1].price_per_unit",
        "[1].percent",
        "[1].tiers",
        "[1].period_cap",
    ]


def test_entries_are_read_for_others_too() -> None:
    table = Table({"entries": [entry(agent="b"), entry(agent="a"), entry(agent="b"), {}]}, "customers[3]", ("entries",))
    read = read_entries(table, "customers[3]")
    assert [one["agent"] for one in read] == ["a", "b"]
    assert [mistake.path for mistake in table.mistakes] == [
        "customers[3].entries[2].agent",
        "customers[3].entries[3].agent",
        "customers[3].entries[3].price_per_unit",
    ]
    assert read_entries(Table({}, "", ("entries",)), "") == []


def test_an_entry_has_a_bounded_number_of_tiers() -> None:
    steps = [{"agent": "a", "kind": "volume", "tiers": tiers(*map(str, range(1, count)), None)} for count in (100, 101)]
    assert mistakes(entries=steps[:1]) == []
    assert [path for path, _ in mistakes(entries=steps[1:])] == ["rate_cards[0].entries[0].tiers"]


def test_a_card_has_a_bounded_number_of_entries() -> None:
    many = [entry(agent=f"agent {number}") for number in range(1001)]
    assert mistakes(entries=many[:1000]) == []
    assert [path for path, _ in mistakes(entries=many)] == ["rate_cards[0].entries"]
