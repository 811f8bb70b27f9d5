"""The form that writes prices, as it is answered again and again until it is saved: all entries of a thing, or some.

What a page does with the entries that come of it is left to the page.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from witnd.app.catalogue.change import Written
from witnd.app.errors import Refused
from witnd.domain.catalogue.checks.grade_prices import own_terms
from witnd.domain.catalogue.terms.grades import GRADES, grade_name
from witnd.domain.values.money import minor_digits
from witnd.web.dashboard.forms.billing_data import tax_choices
from witnd.web.dashboard.forms.price_preview import OUTCOMES, Preview, preview_of_form, selected_place
from witnd.web.dashboard.forms.prices import (
    FIELDS,
    KIND_HINTS,
    MOST_EDITED,
    Entry,
    Problem,
    blank,
    edited_entries,
    entries_from_content,
    entries_from_form,
    problems_of,
)
from witnd.web.dashboard.page import PageRequest
from witnd.web.dashboard.present.instants import since

# Agents that a list offers for each price; of more, their keys are written, with suggestions.
MOST_CHOICES: Final = 30
MOST_SUGGESTED: Final = 500
#: The form's fields besides those of entries. `part`: whether only some entries are in it, `only`: the agent whose
#: entry it is; `seen`: how many versions there were when it was opened; the last three ask what it would cost.
TEXTS: Final = ("key", "currency", "effective_from", "part", "only", "seen", "of", "outcomes", "units")


class PriceForm(Struct, frozen=True, kw_only=True):
    """`others`: entries of the thing that are not in the form, and stay. `stored`: the currencies of the saved rate
    card with their digits."""

    texts: dict[str, str]
    entries: list[Entry]
    currency: str
    others: list[dict[str, Any]]
    stored: Mapping[str, int]

    @property
    def document(self) -> list[dict[str, Any]]:
        """All entries as the API takes them, those of the form last."""
        return [*self.others, *[entry.document for entry in self.entries]]

    def problems(self, refused: Refused) -> list[Problem]:
        return problems_of(refused, len(self.others))


def form_from_content(
    content: Sequence[Mapping[str, Any]],
    currency: str,
    query: Mapping[str, str],
    seen: int,
    start: Sequence[Entry] = (),
    *,
    stored: Mapping[str, int] = MappingProxyType({}),
) -> PriceForm:
    """The form with what is in the catalogue. `query` may ask for a part: the entry of an agent, or a further one.
    Where there is none, it begins as `start`."""
    only = query.get("agent", "")
    part = "part" in query or len(content) > MOST_EDITED
    entries = [entry for entry in entries_from_content(content) if not part or entry.agent == only]
    if not entries and (part or start):
        entries = list(start) or [blank(only)]
    texts = {
        "currency": currency,
        "part": "yes" if part else "",
        "only": only if part else "",
        "seen": str(seen),
        "outcomes": OUTCOMES,
    }
    return PriceForm(
        texts={**dict.fromkeys(TEXTS, ""), **texts},
        entries=entries,
        currency=currency,
        others=_others(content, texts),
        stored=stored,
    )


def form_from_request(
    request: PageRequest,
    content: Sequence[Mapping[str, Any]],
    currency: str | None = None,
    *,
    stored: Mapping[str, int] = MappingProxyType({}),
) -> PriceForm:
    """The form as it was sent, after what its button does to it. `currency`, where that is no part of it."""
    texts = {name: request.form.get(name, "").strip() for name in TEXTS}
    texts["only"] = request.form.get("only", "")  # the key of an agent is what it is, spaces included
    return PriceForm(
        texts=texts,
        entries=edited_entries(entries_from_form(request.form), request.form.get("do", "")),
        currency=texts["currency"] if currency is None else currency,
        others=_others(content, texts),
        stored=stored,
    )


def _others(content: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    return [dict(entry) for entry in content if entry["agent"] != texts["only"]] if texts["part"] else []


async def values(
    request: PageRequest, form: PriceForm, problems: Sequence[Problem] = (), customer: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `prices.html` shows. `customer`: whose own prices they are, if any."""
    agents = await _choices(request)
    # An invalid currency has no number of digits; validation reports it.
    known = form.currency if form.currency in form.stored or minor_digits(form.currency) is not None else ""
    preview: Preview | None = await preview_of_form(form.entries, form.currency, form.texts, form.stored)
    return {
        "form": form,
        "texts": form.texts,
        "currency": known,
        "agents": agents,
        "grades": await _grades(request, form, customer),
        "suggested": agents[:MOST_SUGGESTED] if len(agents) > MOST_CHOICES else [],
        "kinds": [(kind, kind.capitalize()) for kind in KIND_HINTS],
        "kind_hints": KIND_HINTS,
        "fields": FIELDS,
        "taxes": tax_choices(request.services.catalogue),
        "more_entries": len(form.entries) < MOST_EDITED,
        "wrong": {one.path: one.message for one in reversed(problems)},
        "problems": [("", f"{one.where}: {one.message}" if one.where else one.message) for one in problems],
        "preview": preview,
        "of": str(selected_place(form.texts, len(form.entries)) or 0),
    }


async def _choices(request: PageRequest) -> list[tuple[str, str]]:
    """Agents that are not archived, with their names."""
    catalogue = await request.services.learned()
    now = await request.services.catalogue_store.next_instant()
    found = []
    for key in catalogue.keys("agent"):
        entry = catalogue.entry("agent", key, now) or catalogue.versions("agent", key)[0]
        if not entry.archived:
            name = entry.content["name"]
            found.append((key, key if name == key else f"{name} ({key})"))
    return found


async def _grades(
    request: PageRequest, form: PriceForm, customer: Mapping[str, Any] | None
) -> dict[str, list[tuple[str, str]]]:
    """Return the grades of each agent of the form, with their names: of the agent, and of the customer's own terms."""
    now = await request.services.catalogue_store.next_instant()
    found: dict[str, list[tuple[str, str]]] = {}
    for key in {entry.agent for entry in form.entries}:
        agent = request.services.catalogue.entry("agent", key, now) or request.services.catalogue.entry("agent", key)
        contents = [own_terms(customer, key), *([] if agent is None else [agent.content])]
        graded = {one["key"]: grade_name(one) for content in contents for one in content.get(GRADES, ())}
        found[key] = [(grade, grade if name == grade else f"{name} ({grade})") for grade, name in graded.items()]
    return found


def saved_message(saved: Written, form: PriceForm, lead: str) -> str:
    """Return the message after saving: what takes effect when."""
    if not saved.changed:
        return "No changes to save."
    start = since(saved.thing.version.effective_from, form.texts["effective_from"] or None)
    return f"{lead} Outcomes that open {start} use these prices; open outcomes keep theirs."
