"""The catalogue file: the seller, taxes, customers, agents, rate cards and notification rules as one TOML document.

Reading reports all mistakes, each with its path (`agents[0].condition[2].value`). Writing creates a document that reads
back as the same catalogue.
"""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.buyer import BILLING
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.contract import read_agent
from witnd.domain.catalogue.customer import read_customer
from witnd.domain.catalogue.seller import SELLER_KEY, read_seller
from witnd.domain.catalogue.tax import read_tax
from witnd.domain.catalogue.terms.grades import GRADES
from witnd.domain.catalogue.terms.reversal import REVERSAL
from witnd.domain.pricing.entry import GRADE, TAX
from witnd.domain.pricing.ratecard import DIGITS, FLAT, read_rate_card
from witnd.domain.pricing.recurring import COMMITMENT, FEES, input_content
from witnd.domain.values.fields import MAX_KEY_LENGTH, field_path, short_repr, similar_name, text_problem, unknown_name
from witnd.domain.values.mistake import Mistake
from witnd.domain.webhooks import notification
from witnd.domain.webhooks.rotation import OVERLAP, overlap_content

# Each section with the kind of its items and their key field. The seller has none: its section is a single table.
SECTIONS = {
    "seller": ("seller", ""),
    "taxes": ("tax", "key"),
    "customers": ("customer", "key"),
    "agents": ("agent", "key"),
    "rate_cards": ("rate_card", "key"),
    "notification_rules": ("notification_rule", "name"),
}
_READERS = {"customer": read_customer, "agent": read_agent, "tax": read_tax}
_KEY_NAMES = dict(SECTIONS.values())
_RULE_FIELDS = ("source", "agent", "url", "secret", "enabled")


class Item(Struct, frozen=True, kw_only=True):
    """An item of the file. The secret of a rule can be null until planned. `rewritten`: the author confirmed a
    customer's own prices, possibly with the same numbers. `places`: the place of each entry in the input, by agent and
    grade, because `content` has them sorted.
    """

    kind: str
    key: str
    archived: bool
    content: dict[str, Any]
    path: str
    rewritten: bool = False
    places: dict[tuple[str, str | None], int] = {}


class Reference(Struct, frozen=True, kw_only=True):
    """A reference to another item by its key."""

    kind: str
    key: str
    path: str


class CatalogueFile(Struct, frozen=True, kw_only=True):
    """The content of a file. `named` and `references` include items with mistakes."""

    items: tuple[Item, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    named: frozenset[tuple[str, str]] = frozenset()
    references: tuple[Reference, ...] = ()


def parse(text: str, catalogue: Catalogue | None = None) -> CatalogueFile:
    """Parse a file's text; see `read`."""
    try:
        document = tomllib.loads(text)
    except RecursionError:
        problem = "is nested too deeply; flatten it"
        return CatalogueFile(mistakes=(Mistake("", f"the file {problem}"),))
    except ValueError as wrong:
        return CatalogueFile(mistakes=(Mistake("", f"the file is not TOML: {wrong}"),))
    return read(document, catalogue)


def read(document: Mapping[str, object], catalogue: Catalogue | None = None) -> CatalogueFile:
    """Read a parsed file. With a catalogue, a rate card may keep a currency of its stored versions."""
    items: list[Item] = []
    mistakes = [Mistake(name, unknown_name(name, tuple(SECTIONS))) for name in document if name not in SECTIONS]
    named: dict[tuple[str, str], str] = {}
    references: list[Reference] = []
    for section, (kind, key_name) in SECTIONS.items():
        for path, raw in _entries(document.get(section), section, mistakes):
            item, wrong = read_item(kind, raw, path, catalogue)
            mistakes += wrong
            references += _references(kind, raw, path)
            key = _key(kind, raw)
            if isinstance(key, str) and (first := named.setdefault((kind, key), path)) != path:
                again = f"is {short_repr(key)} as in {first}; keep one of them"
                mistakes.append(Mistake(field_path(path, key_name), again))
            elif item is not None:
                items.append(item)
    return CatalogueFile(
        items=tuple(items),
        mistakes=tuple(mistakes),
        named=frozenset(named),
        references=tuple(references),
    )


def _key(kind: str, raw: object) -> object:
    if not isinstance(raw, Mapping):
        return None
    return raw.get(_KEY_NAMES[kind]) if _KEY_NAMES[kind] else SELLER_KEY


def _entries(raw: object, section: str, mistakes: list[Mistake]) -> Sequence[tuple[str, object]]:
    if raw is None:
        return ()
    if not SECTIONS[section][1]:
        return [(section, raw)]
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        remedy = f"write [[{section}]] above each"
        mistakes.append(Mistake(section, f"must be a list, got {short_repr(raw)}; {remedy}"))
        return ()
    return [(f"{section}[{index}]", entry) for index, entry in enumerate(raw)]


def read_item(
    kind: str, raw: object, path: str, catalogue: Catalogue | None = None
) -> tuple[Item | None, list[Mistake]]:
    """Read one item of a section. Returns no item if there are mistakes."""
    key_name = _KEY_NAMES[kind]
    if not isinstance(raw, Mapping):
        hint = "" if key_name else f"; write [{path}] once"
        return None, [Mistake(path, f"must be a table, got {short_repr(raw)}{hint}")]
    mistakes = []
    key = _key(kind, raw)
    if key is None:
        mistakes.append(Mistake(field_path(path, key_name), f"is missing; every {_kind_text(kind)} needs one"))
    elif problem := text_problem(key, MAX_KEY_LENGTH):
        mistakes.append(Mistake(field_path(path, key_name), problem))
    archived = raw.get("archived")
    if archived is not None and not isinstance(archived, bool):
        problem = f"is {short_repr(archived)}; write true or false without quotes"
        mistakes.append(Mistake(field_path(path, "archived"), problem))
    fields = {name: value for name, value in raw.items() if name not in (key_name, "archived")}
    content, wrong = _read_content(kind, key, fields, path, catalogue)
    if mistakes or wrong:
        return None, mistakes + wrong
    item = Item(
        kind=kind, key=str(key), archived=bool(archived), content=content, path=path, places=_entry_places(fields)
    )
    return item, []


def _entry_places(fields: Mapping[str, Any]) -> dict[tuple[str, str | None], int]:
    """Return the place of each entry, for fields without mistakes."""
    return {(entry["agent"], entry.get(GRADE)): place for place, entry in enumerate(fields.get("entries") or ())}


def _read_content(
    kind: str, key: object, fields: Mapping[str, object], path: str, catalogue: Catalogue | None
) -> tuple[dict[str, Any], list[Mistake]]:
    # A placeholder avoids a second mistake for a missing or invalid key.
    known = key if isinstance(key, str) and text_problem(key, MAX_KEY_LENGTH) is None else "key"
    if kind == "seller":
        return read_seller(fields, path)
    if kind == "rate_card":
        return read_rate_card(known, fields, path, {} if catalogue is None else catalogue.digits(known))
    if kind != "notification_rule":
        return _READERS[kind](known, fields, path)
    wrong = notification.mistakes({**fields, "name": known}, path)
    if fields.get("secret") is None:
        wrong = [mistake for mistake in wrong if mistake.path != field_path(path, "secret")]
    content = {name: fields.get(name) for name in _RULE_FIELDS}
    content["enabled"] = content["enabled"] is not False
    return content | overlap_content(fields.get(OVERLAP)), wrong


def reference_mistakes(file: CatalogueFile, catalogue: Catalogue, remedy: str = "add it to the file") -> list[Mistake]:
    """Return mistakes for references to keys that neither the file nor the catalogue has."""
    found = []
    known: dict[str, set[str]] = {}
    for reference in file.references:
        kind, key = reference.kind, reference.key
        if (kind, key) in file.named or catalogue.instants(kind, key):
            continue
        if kind not in known:
            known[kind] = {name for of, name in file.named if of == kind} | set(catalogue.keys(kind))
        near = similar_name(key, known[kind])
        hint = remedy if near is None else f"did you mean {short_repr(near)}?"
        problem = f"there is no {_kind_text(kind)} {short_repr(key)}; {hint}"
        found.append(Mistake(reference.path, problem))
    return found


def _references(kind: str, raw: object, path: str) -> list[Reference]:
    """Return the readable references of an item; others have their own mistakes."""
    if not isinstance(raw, Mapping):
        return []
    places: list[tuple[str, object, str]] = []
    if kind == "customer":
        places = [("rate_card", raw.get("rate_card"), "rate_card")]
        places += [*_table_references(raw, "entries", "agent"), *_table_references(raw, "agents", "agent")]
        places += [*_tax_references(raw), *_single_reference(raw, BILLING)]
    elif kind == "rate_card":
        places = [*_table_references(raw, "entries", "agent"), *_tax_references(raw)]
    elif kind == "notification_rule":
        places = [("agent", raw.get("agent"), "agent")]
    return [
        Reference(kind=other, key=key, path=f"{path}.{place}")
        for other, key, place in places
        if isinstance(key, str) and key
    ]


def _tax_references(raw: Mapping[str, object]) -> list[tuple[str, object, str]]:
    """Return the references to taxes of a rate card, or of a customer's own terms."""
    tables = [*_table_references(raw, "entries", TAX), *_table_references(raw, FEES, TAX)]
    return [*tables, *_single_reference(raw, COMMITMENT)]


def _single_reference(raw: Mapping[str, object], name: str) -> list[tuple[str, object, str]]:
    """Return the reference to a tax in the table of a field."""
    table = raw.get(name)
    return [(TAX, table.get(TAX), f"{name}.{TAX}")] if isinstance(table, Mapping) else []


def _table_references(raw: Mapping[str, object], name: str, kind: str) -> list[tuple[str, object, str]]:
    """Return the references to a kind in the tables of a field, which has the name of the kind."""
    tables = raw.get(name)
    if not isinstance(tables, list | tuple):
        return []
    return [
        (kind, table.get(kind), f"{name}[{index}].{kind}")
        for index, table in enumerate(tables)
        if isinstance(table, Mapping)
    ]


def _kind_text(kind: str) -> str:
    return kind.replace("_", " ")


def to_document(catalogue: Catalogue, *, secrets: bool = False, at: int | None = None) -> dict[str, Any]:
    """Return the catalogue as a document: the versions in effect at an instant, by default the last ones. Without
    secrets, a rule keeps its secret when the document is applied.
    """
    document: dict[str, Any] = {}
    for section, (kind, key_name) in SECTIONS.items():
        entries = [catalogue.entry(kind, key, at) for key in catalogue.keys(kind)]
        tables = [_table(entry, key_name) for entry in entries if entry is not None]
        if kind == "notification_rule" and not secrets:
            for table in tables:
                del table["secret"]
        if tables:
            document[section] = tables if key_name else tables[0]
    return document


def _table(entry: CatalogueEntry, key_name: str) -> dict[str, Any]:
    table: dict[str, Any] = {key_name: entry.key} if key_name else {}
    given = {
        name: value for name, value in input_content(entry.content).items() if value is not None and name != DIGITS
    }
    # Short fields first, so that they are not overlooked.
    long = [
        name
        for name in (BILLING, "condition", GRADES, "entries", FEES, COMMITMENT, "agents", "timers", REVERSAL)
        if name in given
    ]
    table |= {name: value for name, value in given.items() if name not in long}
    if entry.archived:
        table["archived"] = True
    table |= {name: given[name] for name in long}
    if "entries" in table:
        table["entries"] = [
            {name: value for name, value in priced.items() if (name, value) != ("kind", FLAT)}
            for priced in table["entries"]
        ]
    return table
