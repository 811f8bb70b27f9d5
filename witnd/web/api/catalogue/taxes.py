"""Taxes: their rates, categories and printed notes. Rates are configured, never looked up. Every version is kept."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from witnd.app.catalogue.read import TAX, Thing
from witnd.domain.catalogue.tax import CATEGORIES
from witnd.web.api.catalogue.answers import Versioned, versioned
from witnd.web.api.catalogue.resource import Resource, register
from witnd.web.http.route import Call

Category = Annotated[str, Meta(extra_json_schema={"enum": list(CATEGORIES)})]


class TaxChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; null restores the default. Invoices use the version that is in effect at the end of their
    period. `effective_from`: when the change takes effect; default: now."""

    name: str | None = None
    rate: str | None = None
    category: Category | None = None
    note: str | None = None
    effective_from: str | None = None


class TaxIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new tax. `rate` is in percent, such as `"19"`, with at most 4 digits after the point. `category` is a VAT
    category of EN 16931: S (standard rate), Z (zero rate), E (exempt), AE (reverse charge), K (intra-Community supply),
    G (export outside the EU) or O (outside the scope of tax). Only S has a rate above 0. `name` defaults to the key.
    `note` is printed on documents."""

    key: str
    rate: str
    category: Category
    name: str | None = None
    note: str | None = None
    effective_from: str | None = None


class Tax(Versioned, frozen=True, kw_only=True):
    """A version of a tax."""

    key: str
    name: str
    rate: str
    category: Category
    note: str | None


class TaxPage(Struct, frozen=True, kw_only=True):
    """Taxes, sorted by key."""

    data: list[Tax]
    next_cursor: str | None


async def _show(_: Call[Any], thing: Thing, secret: str | None = None) -> Tax:  # noqa: ARG001
    return Tax(key=thing.key, **{"note": None, **thing.version.content}, **versioned(thing))


async def _show_page(call: Call[Any], things: Sequence[Thing]) -> list[Tax]:
    return [await _show(call, thing) for thing in things]


register(
    __name__,
    Resource(
        kind=TAX,
        path="/v1/taxes",
        operation="tax",
        operations="taxes",
        phrase="a tax",
        listed="taxes in order of their keys",
        body=TaxIn,
        change=TaxChange,
        change_summary="Change a tax. Issued invoices keep theirs.",
        archive_summary="Archive a tax. Lists hide it; everything that names its key still uses it.",
        answer=Tax,
        page=TaxPage,
        show=_show,
        show_page=_show_page,
    ),
)
