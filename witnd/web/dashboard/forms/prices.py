"""The fields of a form that writes prices, and the entries of a rate card: from one to the other and back.

A field is called as the API calls the place, `entries[2].tiers[1].up_to`, so that a mistake is shown where it was made.
Everything that was typed is kept, also what is no number, and what belongs to a kind that was chosen before. What may
stand in an entry is decided by the domain's reader.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from iso4217 import Currency
from msgspec import Struct

from witnd.app.catalogue.change import INSTANT_TAKEN, TOO_EARLY
from witnd.app.errors import Refused
from witnd.domain.pricing.entry import (
    BELOW_BOUND,
    FLAT,
    GRADE,
    GRADUATED,
    KINDS,
    MAX_TIERS,
    NO_DECIMAL_STRING,
    OPTIONS,
    PACKAGE,
    PERCENTAGE,
    TAX,
    TIER_FIELDS,
    VOLUME,
)
from witnd.domain.values.fields import MISSING
from witnd.domain.values.mistake import Mistake

# As many prices as one form shows: with tiers, and agents to choose from, each is up to 8 KB of the page.
MOST_EDITED: Final = 20
# A tier more than one price has at the beginning: fewer than two tiers are a flat price.
_FIRST_TIERS: Final = 2
_TIERS: Final = "tiers"
_OF_KINDS: Final = [name for name in dict.fromkeys(n for names in KINDS.values() for n in names) if name != _TIERS]
_TEXTS: Final = ("agent", GRADE, "kind", *_OF_KINDS, *OPTIONS, TAX)
_NAME: Final = re.compile(r"entries\[(\d{1,4})\]\.(?:tiers\[(\d{1,4})\]\.)?([a-z_]+)", re.ASCII)
_PLACE: Final = re.compile(r"entries\[(\d+)\](.*)", re.ASCII | re.DOTALL)
_ORDER: Final = re.compile(r"(remove-entry|add-tier|remove-tier):(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)
# What is chosen from a list.
_CHOOSE: Final = {"currency": "choose a currency", "agent": "choose an agent"}
_CONFLICTS: Final = {
    INSTANT_TAKEN: "choose another “Effective from”",
    TOO_EARLY: "give a later “Effective from”",
}

# What each kind does.
KIND_HINTS: Final[Mapping[str, str]] = {
    FLAT: "Every unit costs the same.",
    GRADUATED: "Each unit is priced by the tier that it falls into.",
    VOLUME: "All units of a period are priced by the tier that their total falls into.",
    PACKAGE: "Units are sold in packages; a partial package counts as a whole one.",
    PERCENTAGE: "A percentage of the billed quantity, such as an order value.",
}


class Field(Struct, frozen=True):
    """How a field is called and explained. `money`: whether it is an amount in the card's currency."""

    label: str
    hint: str = ""
    money: bool = False


FIELDS: Final[Mapping[str, Field]] = {
    "agent": Field("Agent"),
    "grade": Field("Grade"),
    "kind": Field("Kind of price"),
    "price_per_unit": Field("Price per unit", money=True),
    "package_size": Field("Units in a package"),
    "price_per_package": Field("Price per package", money=True),
    "percent": Field("Percent of quantity", "Such as `2.5` for 2.5 % of the billed quantity."),
    "minimum": Field("Minimum per outcome", "Optional.", money=True),
    "maximum": Field("Maximum per outcome", "Optional.", money=True),
    "free_quota": Field("Free units", "Optional. Free in each period."),
    "period_minimum": Field("Minimum per period", "Optional. A shortfall is added as a separate line.",
                            money=True),
    "period_cap": Field("Cap per period", "Optional. The excess is deducted as a separate line.",
                        money=True),
    "tax": Field("Tax"),
    "up_to": Field("Up to (units)"),
    "flat_fee": Field("Fee when reached", money=True),
    "currency": Field("Currency"),
    "key": Field("Key"),
    "effective_from": Field("Effective from (UTC)"),
}  # fmt: skip


class Entry(Struct, frozen=True, kw_only=True):
    """One price of the form. `texts`: the typed text of each field."""

    texts: dict[str, str]
    tiers: list[dict[str, str]]

    @property
    def agent(self) -> str:
        return self.texts.get("agent", "")

    @property
    def grade(self) -> str:
        return self.texts.get(GRADE, "")

    @property
    def title(self) -> str:
        """The agent, and the grade if there is one."""
        return f"{self.agent} ({self.grade})" if self.grade else self.agent

    @property
    def kind(self) -> str:
        return self.texts.get("kind") or FLAT

    @property
    def tiered(self) -> bool:
        return _TIERS in KINDS.get(self.kind, ())

    @property
    def names(self) -> list[str]:
        """The fields of its kind, but for tiers."""
        return [name for name in KINDS.get(self.kind, ()) if name != _TIERS]

    @property
    def kept(self) -> Iterator[tuple[str, str]]:
        """What was typed for other kinds, by the end of its name: a form keeps it out of sight."""
        for name, text in self.texts.items():
            if text and name not in ("agent", GRADE, "kind", *self.names, *OPTIONS, TAX):
                yield name, text
        if not self.tiered:
            for place, tier in enumerate(self.tiers):
                yield from [(f"tiers[{place}].{name}", text) for name, text in tier.items() if text]

    @property
    def has_options(self) -> bool:
        return any(self.texts.get(name) for name in OPTIONS)

    @property
    def document(self) -> dict[str, Any]:
        """As the API takes it; what is empty is left out."""
        entry: dict[str, Any] = {"kind": self.kind}
        entry |= {name: text for name in ("agent", GRADE, *self.names, *OPTIONS, TAX) if (text := self.texts.get(name))}
        if self.tiered:
            entry[_TIERS] = [{name: text for name, text in tier.items() if text} for tier in self.tiers]
        return entry


def blank(agent: str = "") -> Entry:
    return Entry(texts={"agent": agent, "kind": FLAT}, tiers=[])


def entries_from_content(content: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Entries of the catalogue as a form shows them."""
    return [
        Entry(
            texts={name: entry[name] for name in _TEXTS if name in entry},
            tiers=[dict(tier) for tier in entry.get(_TIERS, ())],
        )
        for entry in content
    ]


def entries_from_form(form: Mapping[str, str]) -> list[Entry]:
    """The prices of a form that was sent, in their order; a price by tiers has some in any case."""
    found: dict[int, tuple[dict[str, str], dict[int, dict[str, str]]]] = {}
    for name, text in form.items():
        named = _NAME.fullmatch(name)
        if named is None:
            continue
        entry, tier, field = named.groups()
        texts, tiers = found.setdefault(int(entry), ({}, {}))
        if tier is None and field in _TEXTS:
            # The keys of an agent and a grade are what they are, spaces included.
            texts[field] = text if field in ("agent", GRADE) else text.strip()
        elif tier is not None and field in TIER_FIELDS:
            tiers.setdefault(int(tier), {})[field] = text.strip()
    return [
        _with_tiers(Entry(texts=texts, tiers=[tiers[place] for place in sorted(tiers)]))
        for _, (texts, tiers) in sorted(found.items())
    ]


def _with_tiers(entry: Entry) -> Entry:
    if not entry.tiered or entry.tiers:
        return entry
    return Entry(texts=entry.texts, tiers=[{} for _ in range(_FIRST_TIERS)])


def edited_entries(entries: Sequence[Entry], order: str) -> list[Entry]:
    """What a button of the form makes of the prices: `add-entry`, `remove-entry:0`, `add-tier:0`, `remove-tier:0.1`.
    Any other changes nothing."""
    found = list(entries)
    if order == "add-entry" and len(found) < MOST_EDITED:
        return [*found, blank()]
    form = _ORDER.fullmatch(order)
    if form is None or int(form[2]) >= len(found):
        return found
    place = int(form[2])
    if form[1] == "remove-entry":
        del found[place]
        return found
    tiers = list(found[place].tiers)
    if form[1] == "add-tier" and len(tiers) < MAX_TIERS:
        tiers.append({})
    elif form[1] == "remove-tier" and form[3] is not None and int(form[3]) < len(tiers):
        del tiers[int(form[3])]
    found[place] = Entry(texts=found[place].texts, tiers=tiers)
    return found


# -- what is wrong ----------------------------------------------------------------------------------------------------


class Problem(Struct, frozen=True, kw_only=True):
    """Something that is wrong: `path`, as the field is called; `where` and `message` for people."""

    path: str
    where: str
    message: str


def problems_of(refused: Refused, before: int = 0) -> list[Problem]:
    """Convert a refusal of the API. `before`: the number of entries before those of the form."""
    if refused.details:
        return [problem(one, before) for one in refused.details]
    remedy = _CONFLICTS.get(refused.reason or "")
    return [Problem(path="", where="", message=f"{refused.problem}; {remedy}" if remedy else refused.message)]


def problem(mistake: Mistake, before: int = 0) -> Problem:
    path = mistake.path
    if (form := _PLACE.fullmatch(path)) is not None:
        place = int(form[1]) - before
        path = f"entries[{place}]{form[2]}" if place >= 0 else "entries"
    return Problem(path=path, where=field_label(path), message=for_people(mistake))


def field_label(path: str) -> str:
    """Where a field is, as the form says it: `Price 3, tier 2, up to (units)`."""
    if not path:
        return ""
    words = []
    for part in path.split("."):
        name, _, place = part.partition("[")
        number = int(place[:-1]) + 1 if place.endswith("]") and place[:-1].isdecimal() else None
        if name in ("entries", _TIERS):
            word = "price" if name == "entries" else "tier"
            words.append(f"{word} {number}" if number is not None else f"{word}s")
        elif number is not None:
            words.append(f"{name} of outcome {number}")
        else:
            words.append(_lower(FIELDS[name].label) if name in FIELDS else name)
    text = ", ".join(words)
    return text[:1].upper() + text[1:]


def for_people(mistake: Mistake) -> str:
    """Return the message for the text fields of a form. That of the API is about JSON."""
    name, params = mistake.path.rpartition(".")[2], mistake.params
    if mistake.code == MISSING and name in _CHOOSE:
        return _CHOOSE[name]
    if mistake.code == NO_DECIMAL_STRING:
        return f"{mistake.problem}; enter a number such as {params['example']}"
    if mistake.code == BELOW_BOUND:
        return f"must be at least {params['value']}, the value of “{FIELDS[params['bound']].label}”"
    return mistake.message


def _lower(label: str) -> str:
    return label[:1].lower() + label[1:]


# -- amounts ----------------------------------------------------------------------------------------------------------


def padded(text: str, digits: int) -> str:
    """A price as exact as it is, and with so many digits after the point at least: `0.995`, `2.00`."""
    whole, _, fraction = text.partition(".")
    fraction = fraction.ljust(digits, "0")
    return f"{whole}.{fraction}" if fraction else whole


@cache
def currencies() -> tuple[tuple[str, str], ...]:
    """Codes that a card may have, each with its name, in order of the codes."""
    return tuple(
        sorted((one.code, f"{one.code} – {one.currency_name}") for one in Currency if one.exponent is not None)
    )
