"""The seller, who issues the invoices. There is at most one; every version is kept."""

from typing import Any, Final

from msgspec import Struct

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue.read import SELLER, Thing
from witnd.domain.catalogue.seller import SELLER_KEY
from witnd.web.api.catalogue import answers
from witnd.web.api.catalogue.answers import Comparison, Locale, Pair, Versioned, VersionPage, When, Which, versioned
from witnd.web.http.preconditions import expected_tags
from witnd.web.http.route import Call, Listing, route

_PATH: Final = "/v1/seller"
# A logo of 200 KB in base64, and the other fields.
_MOST_BYTES: Final = 512 * 1024
_REFUSALS: Final = ("NOT_FOUND", "CONFLICT")


class SellerChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; null restores the default: 30 for `payment_terms_days`, `en` for `locale`. `country`: a code
    of ISO 3166-1, such as `DE`. `logo`: the base64 text of a PNG of at most 200 KB. `effective_from`: when the change
    takes effect; default: now. Stored texts have no leading or trailing spaces, and `tax_id`, `iban` and `bic` no
    separators."""

    name: str | None = None
    address: list[str] | None = None
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None
    tax_id: str | None = None
    registration: str | None = None
    email: str | None = None
    phone: str | None = None
    iban: str | None = None
    bic: str | None = None
    footer: str | None = None
    logo: str | None = None
    payment_terms_days: int | None = None
    locale: Locale | None = None
    effective_from: str | None = None


class SellerIn(SellerChange, kw_only=True, forbid_unknown_fields=True):
    """All fields of the seller. Those that you leave out get their default."""

    name: str


class Seller(Versioned, frozen=True, kw_only=True):
    """A version of the seller."""

    name: str
    address: list[str]
    postal_code: str | None
    city: str | None
    country: str | None
    tax_id: str | None
    registration: str | None
    email: str | None
    phone: str | None
    iban: str | None
    bic: str | None
    footer: str | None
    logo: str | None
    payment_terms_days: int
    locale: Locale


_ABSENT: Final[dict[str, Any]] = {**dict.fromkeys(SellerChange.__struct_fields__), "address": []}
del _ABSENT["effective_from"]


def _show(thing: Thing) -> Seller:
    return Seller(**{**_ABSENT, **thing.version.content}, **versioned(thing))


@route("GET", _PATH, says="Read the seller.", scope="read", query=Which, answer=Seller, refusals=("NOT_FOUND",))
async def read_seller(call: Call[Which]) -> Seller:
    return _show(await answers.one(call, SELLER, SELLER_KEY))


@route(
    "PUT",
    _PATH,
    says="Create the seller, or replace all its fields.",
    scope="admin",
    has_versions=True,
    body=SellerIn,
    answer=Seller,
    refusals=("CONFLICT",),
    most_bytes=_MOST_BYTES,
)
async def put_seller(call: Call[Any]) -> Seller:
    written = await catalogue_change.put(
        call.services, call.author, SELLER, call.document(), expected_tags(call.headers)
    )
    return _show(answers.with_etag(call, written).thing)


@route(
    "PATCH",
    _PATH,
    says="Change the seller. Issued invoices keep theirs.",
    scope="admin",
    has_versions=True,
    body=SellerChange,
    answer=Seller,
    refusals=_REFUSALS,
    most_bytes=_MOST_BYTES,
)
async def change_seller(call: Call[Any]) -> Seller:
    return _show((await answers.change(call, SELLER, SELLER_KEY)).thing)


@route(
    "DELETE",
    _PATH,
    says="Archive the seller. Later invoices have none.",
    scope="admin",
    has_versions=True,
    query=When,
    answer=Seller,
    refusals=_REFUSALS,
)
async def archive_seller(call: Call[When]) -> Seller:
    return _show((await answers.archive(call, SELLER, SELLER_KEY, archived=True)).thing)


@route(
    "POST",
    f"{_PATH}/restore",
    says="Restore the seller from the archive.",
    scope="admin",
    has_versions=True,
    query=When,
    answer=Seller,
    refusals=_REFUSALS,
)
async def restore_seller(call: Call[When]) -> Seller:
    return _show((await answers.archive(call, SELLER, SELLER_KEY, archived=False)).thing)


@route(
    "GET",
    f"{_PATH}/versions",
    says="List the versions of the seller with their changes.",
    scope="read",
    query=Listing,
    answer=VersionPage,
    refusals=("NOT_FOUND",),
)
async def list_seller_versions(call: Call[Listing]) -> VersionPage:
    return await answers.versions(call, SELLER, SELLER_KEY)


@route(
    "GET",
    f"{_PATH}/compare",
    says="Compare two versions of the seller.",
    scope="read",
    query=Pair,
    answer=Comparison,
    refusals=("NOT_FOUND",),
)
async def compare_sellers(call: Call[Pair]) -> Comparison:
    return await answers.compare(call, SELLER, SELLER_KEY)
