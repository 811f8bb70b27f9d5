"""Writing an agent: a condition that is put together from checks, and tried before it is saved."""

from typing import Any

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.change import Written
from witnd.app.catalogue.read import AGENT
from witnd.app.errors import Refused, all_invalid, invalid
from witnd.domain.catalogue.condition import MAX_DEPTH
from witnd.domain.catalogue.terms.grades import MAX_GRADES
from witnd.domain.catalogue.terms.timers import MAX_TIMERS
from witnd.domain.values import instant
from witnd.domain.values.fields import short_repr
from witnd.web.dashboard.forms import conditions, examples, terms
from witnd.web.dashboard.forms.agent_terms.periods import UNITS
from witnd.web.dashboard.forms.agent_terms.timers import EFFECTS
from witnd.web.dashboard.forms.choices import CHOICES
from witnd.web.dashboard.forms.examples import Examples
from witnd.web.dashboard.forms.terms import METHODS, FormErrors, Terms
from witnd.web.dashboard.forms.versions import check_seen
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.instants import since
from witnd.web.dashboard.present.words import link, new


@page("/dashboard/agents/new", scope="admin")
async def new_agent(request: PageRequest) -> Answer:
    return _form(request, None, terms.fresh(), Examples(rows=examples.suggested(terms.fresh().rule).rows))


@action("/dashboard/agents/new")
async def write_new_agent(request: PageRequest) -> Answer:
    return await _submit(request, None)


@page("/dashboard/agents/{key}/edit", scope="admin")
async def edit_agent(request: PageRequest) -> Answer:
    key = request.path["key"]
    thing = await catalogue.read(request.services, AGENT, key)
    given = terms.terms_from_content(key, thing.version.content)
    return _form(request, key, given, examples.suggested(given.whole_rule), seen=thing.count)


@action("/dashboard/agents/{key}/edit")
async def write_agent(request: PageRequest) -> Answer:
    thing = await catalogue.read(request.services, AGENT, request.path["key"])
    return await _submit(request, thing.key, thing.count)


async def _submit(request: PageRequest, key: str | None, count: int = 0) -> Answer:
    """Save the form, or show it as its buttons made it. `count`: how many versions there are."""
    given, tried, do = (
        terms.terms_from_form(request.form),
        examples.examples_from_form(request.form),
        request.form.get("do", "look"),
    )
    if do != "save":
        terms.apply_button(given, do)
        examples.apply_button(tried, do)
        return _form(request, key, given, tried, seen=request.form.get("seen"))
    taken = terms.terms_request(given)
    try:
        check_seen(request, count)
        if key is None and not given.key:
            raise all_invalid([terms.NO_KEY, *taken.mistakes])
        if taken.mistakes:
            raise all_invalid(taken.mistakes)
        written = await _write(request, key, given, taken.raw)
    except Refused as refused:
        if refused.code not in ("VALIDATION_ERROR", "CONFLICT"):
            raise
        return _form(request, key, given, tried, terms.errors_of(refused, taken.places), seen=count)
    return Redirect(link("agents", written.thing.key), _saved_message(written, taken.raw["effective_from"]))


async def _write(request: PageRequest, key: str | None, given: Terms, raw: dict[str, Any]) -> Written:
    if key is not None:
        return await catalogue_change.change(request.services, request.author, AGENT, key, raw)
    known = await request.services.learned()
    if known.versions(AGENT.name, given.key):
        raise invalid("key", f"agent {short_repr(given.key)} already exists; edit it or choose another key")
    return await catalogue_change.create(request.services, request.author, AGENT, {**raw, "key": given.key})


def _saved_message(written: Written, asked: str | None) -> str:
    """Return the message after saving: what takes effect when."""
    if not written.changed:
        return "No changes to save."
    version = written.thing.version
    start = since(version.effective_from, asked)
    if version.number == 1:
        return f"Agent {written.thing.key} created. Outcomes open {start}. Next, add a price to a rate card."
    return f"Saved. Outcomes that open {start} use version {version.number}; open outcomes keep theirs."


def _form(
    request: PageRequest,
    key: str | None,
    given: Terms,
    tried: Examples,
    wrong: FormErrors = terms.NO_ERRORS,
    *,
    seen: int | str | None = None,
) -> HtmlPage:
    services = request.services
    trying = tried.tried or request.form.get("do") == "try"
    scheduled = (
        []
        if key is None
        else [instant.render(at) for at in services.catalogue.instants(AGENT.name, key) if at > services.now_ms()]
    )
    return HtmlPage(
        "catalogue/agent_form.html",
        {
            "key": key,
            "address": link("agents") if key is None else link("agents", key),
            "target": new("agents") if key is None else link("agents", key, "edit"),
            "scheduled": scheduled,
            "seen": None if key is None else seen,
            **shared(request, given, tried, wrong, trying=given if trying else None),
        },
        wrong.status,
    )


def _readings(given: Terms) -> list[tuple[str, str]]:
    """Return the condition in words, or that of each grade after its name."""
    if not given.grades:
        return [("", conditions.reading(given.rule))]
    return [(one.name or one.key or "…", conditions.reading(one.rule)) for one in given.grades]


def shared(
    request: PageRequest, given: Terms, tried: Examples, wrong: FormErrors, *, trying: Terms | None
) -> dict[str, Any]:
    """What every form with a condition shows. `trying`: what is tried on the examples, if anything is."""
    now_ms = request.services.now_ms()
    return {
        "terms": given,
        "examples": tried,
        "attempt": None if trying is None else examples.run_examples(terms.terms_request(trying), tried, now_ms),
        "wrong": wrong,
        "readings": _readings(given),
        "effects": EFFECTS,
        "most_grades": MAX_GRADES,
        "most_timers": MAX_TIMERS,
        "choices": CHOICES,
        "deepest": MAX_DEPTH,
        "units": UNITS,
        "methods": METHODS,
    }
