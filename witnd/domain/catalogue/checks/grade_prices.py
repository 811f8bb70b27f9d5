"""Check that prices fit the grades of agents: an entry for an unknown grade, and a grade without a price.

An entry for an unknown grade is refused if it is new or changed. One that a change only left behind is a warning.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.file import Item
from witnd.domain.catalogue.terms.grades import GRADES
from witnd.domain.pricing.entry import GRADE
from witnd.domain.values.fields import field_path, short_repr, similar_name
from witnd.domain.values.mistake import Mistake

Content: TypeAlias = Mapping[str, Any]
# Entries of one card or customer by agent, then by grade.
_Priced: TypeAlias = dict[str, dict[str | None, dict[str, Any]]]
_AGENT, _CUSTOMER, _CARD = "agent", "customer", "rate_card"
_PRICING = ((_CARD, "rate card"), (_CUSTOMER, "customer"))
# Cards, and customers, that warnings about one agent name.
_MAX_NAMED = 3


class _Contents:
    """The catalogue with a change, at an instant (ms)."""

    def __init__(self, catalogue: Catalogue, items: Sequence[Item], at: int) -> None:
        self.catalogue = catalogue
        self.at = at
        self.items = {(item.kind, item.key): item for item in items}

    def content(self, kind: str, key: str) -> Content | None:
        """Return the version in effect; before the first version, the first one; None for an unknown key."""
        item = self.items.get((kind, key))
        if item is not None:
            return item.content
        entry = self.stored(kind, key) or next(iter(self.catalogue.versions(kind, key)), None)
        return None if entry is None else entry.content

    def stored(self, kind: str, key: str) -> Any:
        return self.catalogue.entry(kind, key, self.at)

    def grades(self, agent: str, customer: Content | None = None) -> list[str] | None:
        """Return the keys of the agent's grades under the customer's own terms; empty without grades, None for an
        unknown agent."""
        content = self.content(_AGENT, agent)
        if content is None:
            return None
        own = own_terms(customer, agent)
        return grade_keys(own if "condition" in own or GRADES in own else content)

    def known_grades(self, agent: str, customer: Content | None = None) -> list[str] | None:
        """Return the keys that an entry may name: those of the agent, and those of the customer's own terms."""
        content = self.content(_AGENT, agent)
        if content is None:
            return None
        return list(dict.fromkeys([*grade_keys(content), *grade_keys(own_terms(customer, agent))]))


def grade_keys(content: Content) -> list[str]:
    """Return the keys of the grades of an agent's content, or of own terms; empty without grades."""
    return [grade["key"] for grade in content.get(GRADES, ())]


def own_terms(customer: Content | None, agent: str) -> Content:
    """Return the customer's own terms for an agent, empty without any."""
    terms: Sequence[Content] = () if customer is None else customer.get("agents", ())
    return next((one for one in terms if one["agent"] == agent), {})


def grade_mistakes(catalogue: Catalogue, items: Sequence[Item], at: int) -> list[Mistake]:
    """Return mistakes for new and changed entries with an unknown grade."""
    contents = _Contents(catalogue, items, at)
    return [mistake for item in items for is_new, mistake in _unknown_grades(contents, item) if is_new]


def grade_warnings(catalogue: Catalogue, items: Sequence[Item], at: int) -> list[Mistake]:
    """Return warnings about grades without a price, and about entries that no outcome can use."""
    contents = _Contents(catalogue, items, at)
    found: list[Mistake] = []
    for item in items:
        found += [mistake for is_new, mistake in _unknown_grades(contents, item) if not is_new]
        if item.kind == _CARD:
            found += _at_path(item, "entries", _card_problems(contents, item.content))
        elif item.kind == _CUSTOMER:
            found += _customer_problems(contents, item)
        elif item.kind == _AGENT and _changes_grades(contents, item):
            found += _at_path(item, GRADES, _agent_problems(contents, item.key, _PRICING))
    return found


def card_grade_warnings(catalogue: Catalogue, content: Content, at: int) -> list[str]:
    """Return the warnings about the grades of a rate card's entries."""
    contents = _Contents(catalogue, (), at)
    return [*_stale_problems(contents, content), *_card_problems(contents, content)]


def customer_grade_warnings(catalogue: Catalogue, content: Content, at: int) -> list[str]:
    """Return the warnings about the grades of a customer's own entries and terms."""
    contents = _Contents(catalogue, (), at)
    covered = _coverage_problems(contents, content)
    return [*_stale_problems(contents, content), *[problem for _, problem in covered]]


def agent_grade_warnings(catalogue: Catalogue, agent: str, at: int) -> list[str]:
    """Return the warnings about the rate cards that price an agent."""
    contents = _Contents(catalogue, (), at)
    return _agent_problems(contents, agent, ((_CARD, "rate card"),))


def _at_path(item: Item, name: str, problems: Sequence[str]) -> list[Mistake]:
    return [Mistake(field_path(item.path, name), problem) for problem in problems]


# -- entries for unknown grades ---------------------------------------------------------------------------------------


def _unknown_grades(contents: _Contents, item: Item) -> list[tuple[bool, Mistake]]:
    """Return the entries of an item with an unknown grade, and whether each is new or changed."""
    if item.kind not in (_CARD, _CUSTOMER):
        return []
    stored = contents.stored(item.kind, item.key)
    before = _priced({} if stored is None else stored.content)
    found: list[tuple[bool, Mistake]] = []
    for entry in item.content.get("entries", ()):
        agent, grade = entry["agent"], entry.get(GRADE)
        problem = _unknown_grade(contents, entry, item.content)
        if problem is not None:
            place = item.places.get((agent, grade))
            name = "entries" if place is None else f"entries[{place}].{GRADE}"
            is_new = before.get(agent, {}).get(grade) != entry
            found.append((is_new, Mistake(field_path(item.path, name), problem)))
    return found


def _unknown_grade(contents: _Contents, entry: Content, owner: Content) -> str | None:
    """Return the problem of an entry with an unknown grade, or None. `owner`: the card or customer."""
    agent, grade = entry["agent"], entry.get(GRADE)
    known = None if grade is None else contents.known_grades(agent, owner)
    if grade is None or known is None or grade in known:
        return None
    if not known:
        return f"agent {short_repr(agent)} has no grades; remove grade {short_repr(grade)}, or add grades to the agent"
    near = similar_name(grade, known)
    hint = f"write one of {_names(known)}" if near is None else f"did you mean {short_repr(near)}?"
    return f"agent {short_repr(agent)} has no grade {short_repr(grade)}; {hint}"


def _stale_problems(contents: _Contents, owner: Content) -> list[str]:
    """Return the problems of a stored card's or customer's entries with an unknown grade."""
    problems = [_unknown_grade(contents, entry, owner) for entry in owner.get("entries", ())]
    return [problem for problem in problems if problem is not None]


# -- grades without a price -------------------------------------------------------------------------------------------


def _card_problems(contents: _Contents, card: Content) -> list[str]:
    problems = [_coverage_problem(agent, contents.grades(agent), entries) for agent, entries in _priced(card).items()]
    return [problem for problem in problems if problem is not None]


def _customer_problems(contents: _Contents, item: Item) -> list[Mistake]:
    found = _coverage_problems(contents, item.content)
    return [Mistake(field_path(item.path, name), problem) for name, problem in found]


def _coverage_problems(contents: _Contents, customer: Content) -> list[tuple[str, str]]:
    """Return the problems of a customer, each with its field: its own entries, or own grades on its card."""
    own = _priced(customer)
    key = customer.get("rate_card")
    card = None if key is None else contents.content(_CARD, key)
    of_card = {} if card is None else _priced(card)
    found: list[tuple[str, str]] = []
    for agent, entries in own.items():
        problem = _coverage_problem(agent, contents.grades(agent, customer), entries)
        found += [] if problem is None else [("entries", problem)]
    for terms in customer.get("agents", ()):
        agent = terms["agent"]
        replaces = "condition" in terms or GRADES in terms
        if replaces and agent not in own and agent in of_card:
            problem = _coverage_problem(agent, contents.grades(agent, customer), of_card[agent])
            found += [] if problem is None else [("agents", f"{problem}, or own entries of this customer")]
    return found


def _changes_grades(contents: _Contents, item: Item) -> bool:
    stored = contents.stored(_AGENT, item.key)
    return stored is None or grade_keys(stored.content) != grade_keys(item.content)


def _agent_problems(contents: _Contents, agent: str, kinds: Sequence[tuple[str, str]]) -> list[str]:
    """Return the problems that cards and customers outside a change have with an agent's grades. `kinds`: each with its
    name for people."""
    found: list[str] = []
    for kind, word in kinds:
        named = 0
        for key in contents.catalogue.keys(kind):
            content = None if (kind, key) in contents.items else contents.content(kind, key)
            entries = None if content is None else _priced(content).get(agent)
            if entries is None or named == _MAX_NAMED:
                continue
            customer = content if kind == _CUSTOMER else None
            problem = _coverage_problem(agent, contents.grades(agent, customer), entries)
            stale = [_unknown_grade(contents, entry, content or {}) for entry in entries.values()]
            problems = [one for one in (problem, *stale) if one is not None]
            named += bool(problems)
            found += [f"{word} {short_repr(key)}: {one}" for one in problems]
    return found


def _coverage_problem(agent: str, grades: Sequence[str] | None, entries: Mapping[str | None, Any]) -> str | None:
    """Return which outcomes of a priced agent have no price, or None. `grades`: empty without grades, None if the agent
    is unknown."""
    if grades is None or None in entries:
        return None
    held = "so its events are held"
    if not grades:
        return (
            f"agent {short_repr(agent)} has no grades, and all its prices name one, {held}; add an entry without grade"
        )
    missing = [grade for grade in grades if grade not in entries]
    if not missing:
        return None
    word = "grade" if len(missing) == 1 else "grades"
    return f"agent {short_repr(agent)} has no price for {word} {_names(missing)}, {held}; add the missing entries"


def _priced(content: Content) -> _Priced:
    found: _Priced = {}
    for entry in content.get("entries", ()):
        found.setdefault(entry["agent"], {})[entry.get(GRADE)] = entry
    return found


def _names(keys: Collection[str]) -> str:
    return ", ".join([short_repr(key) for key in keys])
