"""The form of the recurring fees and the commitment of a rate card or of one customer."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import CUSTOMER, RATE_CARD, Kind, Thing
from witnd.app.errors import Refused
from witnd.domain.pricing.entry import TAX
from witnd.domain.pricing.recurring import COMMITMENT, COMMITMENT_FIELDS, FEE_FIELDS, FEES, MAX_FEES, input_content
from witnd.web.dashboard.forms.billing_data import tax_choices
from witnd.web.dashboard.forms.errors import error_values
from witnd.web.dashboard.forms.versions import check_seen
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.instants import from_when, written_instant
from witnd.web.dashboard.present.words import link
from witnd.web.errors import status_of

# Empty fees at the end of the form, for new ones.
BLANK_FEES: Final = 2
_PRORATE: Final = "prorate"
# They mean nothing without other fields.
_OPTIONS: Final = frozenset((_PRORATE, TAX))


@page("/dashboard/rate-cards/{key}/fees", scope="admin")
async def edit_card_fees(request: PageRequest) -> Answer:
    return await _edit(request, RATE_CARD)


@action("/dashboard/rate-cards/{key}/fees")
async def change_card_fees(request: PageRequest) -> Answer:
    return await _change(request, RATE_CARD, "rate-cards")


@page("/dashboard/customers/{key}/fees", scope="admin")
async def edit_own_fees(request: PageRequest) -> Answer:
    return await _edit(request, CUSTOMER)


@action("/dashboard/customers/{key}/fees")
async def change_own_fees(request: PageRequest) -> Answer:
    return await _change(request, CUSTOMER, "customers")


async def _edit(request: PageRequest, kind: Kind) -> HtmlPage:
    thing = await catalogue.read(request.services, kind, request.path["key"])
    content = input_content(thing.version.content)
    return _form(request, kind, thing, content.get(FEES, []), content.get(COMMITMENT, {}))


async def _change(request: PageRequest, kind: Kind, section: str) -> Answer:
    thing = await catalogue.read(request.services, kind, request.path["key"])
    fees, commitment = _fees(request.form), _fields(request.form, COMMITMENT, COMMITMENT_FIELDS)
    effective_from = written_instant(request.form.get("effective_from", "").strip())
    content = {FEES: fees, COMMITMENT: commitment or None, "effective_from": effective_from}
    try:
        check_seen(request, thing.count)
        written = await catalogue_change.change(request.services, request.author, kind, thing.key, content)
    except Refused as refused:
        return _form(request, kind, thing, fees, commitment, refused)
    since = from_when(written.thing.version.effective_from, effective_from)
    return Redirect(link(section, thing.key), f"Saved{since}." if written.changed else "No changes to save.")


def _fees(form: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the fees of a posted form, without empty ones."""
    read = [_fields(form, f"{FEES}[{place}]", FEE_FIELDS) for place in range(MAX_FEES + BLANK_FEES)]
    return [fee for fee in read if fee]


def _fields(form: Mapping[str, str], path: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a table that are not empty. Proration or a tax alone is no entry."""
    texts = {name: form.get(f"{path}.{name}", "").strip() for name in names}
    found: dict[str, Any] = {name: text for name, text in texts.items() if text and name != _PRORATE}
    if found.keys() <= _OPTIONS:
        return {}
    return found | ({_PRORATE: True} if texts[_PRORATE] else {})


def _form(
    request: PageRequest,
    kind: Kind,
    thing: Thing,
    fees: Sequence[Mapping[str, Any]],
    commitment: Mapping[str, Any],
    refused: Refused | None = None,
) -> HtmlPage:
    return HtmlPage(
        "catalogue/fees.html",
        {
            "thing": thing,
            "is_card": kind is RATE_CARD,
            "fees": [{**dict.fromkeys(FEE_FIELDS, ""), **fee} for fee in [*fees, *[{}] * BLANK_FEES]],
            "commitment": {**dict.fromkeys(COMMITMENT_FIELDS, ""), **commitment},
            "taxes": tax_choices(request.services.catalogue),
            "effective_from": request.form.get("effective_from", ""),
            **error_values(refused),
        },
        200 if refused is None else status_of(refused),
    )
