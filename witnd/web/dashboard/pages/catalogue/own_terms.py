"""What one customer has agreed otherwise with an agent."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.change import Written
from witnd.app.catalogue.read import AGENT, CUSTOMER
from witnd.app.errors import Refused, all_invalid, invalid
from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.contract import FIELDS
from witnd.domain.catalogue.terms.grades import GRADES, without_replaced
from witnd.domain.catalogue.terms.reversal import REVERSAL
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms import examples, terms
from witnd.web.dashboard.forms.examples import Examples
from witnd.web.dashboard.forms.terms import METHODS, FormErrors, Terms, TermsRequest
from witnd.web.dashboard.forms.versions import check_seen
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.pages.catalogue.agent_form import shared
from witnd.web.dashboard.present.instants import since
from witnd.web.dashboard.present.term_words import grade_lines, reversal_line, timer_lines
from witnd.web.dashboard.present.words import link, span
from witnd.web.errors import ApiError

# The path of the posted terms among those of the customer.
_FIRST: Final = "agents[0]"
_NONE: Final = Mistake("", "select at least one own term; to use the agent's standard terms, remove the own terms")


@page("/dashboard/customers/{key}/terms/{agent}", scope="admin")
async def show_terms(request: PageRequest) -> Answer:
    base, known, count = await _known(request)
    given = terms.terms_from_content(request.path["agent"], {**without_replaced(base, known), **known})
    own = frozenset("condition" if name == GRADES else name for name in known)
    return _form(request, base, known, given, own, examples.suggested(given.whole_rule), seen=count)


@action("/dashboard/customers/{key}/terms/{agent}")
async def write_terms(request: PageRequest) -> Answer:
    """Save the form, or show it as its buttons made it."""
    base, known, count = await _known(request)
    given, tried, do = (
        terms.terms_from_form(request.form),
        examples.examples_from_form(request.form),
        request.form.get("do", "look"),
    )
    own = frozenset(request.forms.get("own", ())) & set(FIELDS)
    if do != "save":
        terms.apply_button(given, do)
        examples.apply_button(tried, do)
        return _form(request, base, known, given, own, tried, seen=request.form.get("seen"))
    taken = _own_terms_request(given, own)
    try:
        check_seen(request, count)
        if taken.mistakes:
            raise all_invalid(taken.mistakes)
        written = await _write(request, taken.raw, {name: taken.raw[name] for name in _fields(given, own)})
    except Refused as refused:
        if refused.code not in ("VALIDATION_ERROR", "CONFLICT"):
            raise
        wrong = terms.errors_of(_with_form_paths(refused), taken.places)
        return _form(request, base, known, given, own, tried, wrong, seen=count)
    return _done(request, written, taken.raw["effective_from"], "the customer’s own terms apply")


@action("/dashboard/customers/{key}/terms/{agent}/remove")
async def remove_terms(request: PageRequest) -> Answer:
    if not request.form.get("confirmed"):
        raise invalid("confirmed", "tick the box to confirm")
    written = await _write(request, {"effective_from": None}, {})
    return _done(request, written, None, "the agent’s standard terms apply")


async def _write(request: PageRequest, raw: Mapping[str, Any], own: Mapping[str, Any]) -> Written:
    """Put these terms in the place of the customer’s own for the agent; without any, there are none."""
    key, agent = request.path["key"], request.path["agent"]

    def amend(content: Mapping[str, Any]) -> dict[str, Any]:
        others = [one for one in content.get("agents", ()) if one["agent"] != agent]
        return {"agents": [{"agent": agent, **own}, *others] if own else others}

    given = {"effective_from": raw["effective_from"]}
    return await catalogue_change.change(request.services, request.author, CUSTOMER, key, given, amend)


def _done(request: PageRequest, written: Written, asked: str | None, what: str) -> Redirect:
    key, agent = request.path["key"], request.path["agent"]
    if not written.changed:
        return Redirect(link("customers", key), "No changes to save.")
    start = since(written.thing.version.effective_from, asked)
    message = f"Saved. For outcomes of {agent} that open {start}, {what}; open outcomes keep theirs."
    return Redirect(link("customers", key), message)


async def _known(request: PageRequest) -> tuple[dict[str, Any], dict[str, Any], int]:
    """What the agent has, what the customer has instead, and how many versions of the customer there are."""
    agent = request.path["agent"]
    base = (await catalogue.read(request.services, AGENT, agent)).version.content
    customer = await catalogue.read(request.services, CUSTOMER, request.path["key"])
    agreed: list[dict[str, Any]] = [one for one in customer.version.content.get("agents", ()) if one["agent"] == agent]
    own = {name: value for one in agreed for name, value in one.items() if name != "agent"}
    return base, own, customer.count


def _fields(given: Terms, own: frozenset[str]) -> list[str]:
    """Return the fields that are ticked. One tick is for the condition or the grades."""
    return [GRADES if name == "condition" and given.grades else name for name in own]


def _own_terms_request(given: Terms, own: frozenset[str]) -> TermsRequest:
    """What is ticked, and what is wrong with that."""
    taken = terms.terms_request(given)
    # An own reversal that is empty removes that of the agent.
    taken = taken._replace(raw={**taken.raw, REVERSAL: taken.raw[REVERSAL] or {}})
    fields = _fields(given, own)
    mistakes = [one for one in taken.mistakes if one.path.partition(".")[0].partition("[")[0] in fields]
    if "name" in own and not given.name:
        mistakes.insert(0, Mistake("name", "is missing; enter the agent's name for this customer"))
    return taken._replace(mistakes=mistakes if own else [_NONE])


def _with_form_paths(refused: Refused) -> Refused:
    """Mistakes with the names that they have in this form."""
    details = [replace(one, path=one.path.removeprefix(_FIRST).removeprefix(".")) for one in refused.details]
    return ApiError(refused.code, refused.message, details)


def _form(
    request: PageRequest, base: Mapping[str, Any], known: Mapping[str, Any], given: Terms, own: frozenset[str],
    tried: Examples, wrong: FormErrors = terms.NO_ERRORS, *, seen: int | str | None,
) -> HtmlPage:  # fmt: skip
    key, agent = request.path["key"], request.path["agent"]
    trying = tried.tried or request.form.get("do") == "try"
    return HtmlPage(
        "catalogue/own_terms.html",
        {
            "customer": key,
            "agent": agent,
            "address": link("customers", key),
            "target": link("customers", key, "terms", agent),
            "own": own,
            "seen": seen,
            "known": bool(known),
            "base": {
                "name": base["name"],
                "settlement_period": span(base["settlement_period"]),
                "attribution_method": METHODS[base["attribution_method"]],
                "condition": _rule_text(base),
                "timers": ", ".join(timer_lines(base)) or "none",
                REVERSAL: reversal_line(base) or "none",
            },
            **shared(request, given, tried, wrong, trying=_effective_terms(base, given, own) if trying else None),
        },
        wrong.status,
    )


def _effective_terms(base: Mapping[str, Any], given: Terms, own: frozenset[str]) -> Terms:
    """What would hold for the customer: what is ticked, and the agent’s for the rest."""
    theirs = terms.terms_from_content(given.key, base)
    return replace(
        given,
        name=given.name if "name" in own else theirs.name,
        period=given.period if "settlement_period" in own else theirs.period,
        unit=given.unit if "settlement_period" in own else theirs.unit,
        attribution_method=(given if "attribution_method" in own else theirs).attribution_method,
        rule=(given if "condition" in own else theirs).rule,
        grades=(given if "condition" in own else theirs).grades,
        timers=(given if "timers" in own else theirs).timers,
        reversal=(given if REVERSAL in own else theirs).reversal,
    )


def _rule_text(base: Mapping[str, Any]) -> str:
    """Return the agent's condition, or its grades, in one line."""
    if GRADES not in base:
        return condition_text(base["condition"])
    return "; ".join([f"{name}: {text}" for name, text in grade_lines(base)])
