"""API tokens: named, scoped, shown once, revocable at once."""

from typing import Any

from msgspec import Struct

from witnd.store.tokens import Token
from witnd.web import tokens
from witnd.web.errors import ApiError, invalid, missing
from witnd.web.route import Call, Listing, Scope, route
from witnd.web.tokens import NewToken, TokenJson, token_json


class TokenIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`name` says who uses it; several tokens may have one name. `scopes`: what it may do; `admin` may do everything.
    `rate`: requests a second that it may make; null or left out for no limit.
    """

    name: str
    scopes: list[Scope]
    rate: float | None = None


class TokenListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Revoked ones are left out unless `archived` is true."""

    archived: bool = False


class Revoking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`self`: true to revoke the very token that the request is made with."""

    self: bool = False


class TokenPage(Struct, frozen=True, kw_only=True):
    """Tokens, the oldest first."""

    data: list[TokenJson]
    next_cursor: str | None


@route(
    "POST",
    "/v1/tokens",
    says="Create a token. Its text is in this answer and nowhere else.",
    scope="admin",
    status=201,
    body=TokenIn,
    answer=NewToken,
)
async def create_token(call: Call[Any]) -> NewToken:
    body: TokenIn = call.body()
    services = call.services
    return await tokens.create(
        services.tokens,
        services.changes,
        name=body.name,
        scopes=body.scopes,
        rate=body.rate,
        now_ms=services.now_ms(),
        who=call.who,
        request_id=call.request_id,
    )


@route(
    "GET",
    "/v1/tokens",
    says="List tokens, the oldest first.",
    scope="admin",
    query=TokenListing,
    answer=TokenPage,
)
async def list_tokens(call: Call[TokenListing]) -> TokenPage:
    limit, after = call.page()
    found = await call.services.tokens.listed()
    if after is not None:
        places = [place for place, token in enumerate(found) if token.id == after]
        if not places:
            raise invalid("after", f"{after!r} is no cursor of this list: write the one that it ended with")
        found = found[places[0] + 1 :]
    found = [token for token in found if call.query.archived or token.revoked_at is None]
    used = await call.services.tokens.used()
    return TokenPage(
        data=[token_json(token, used) for token in found[:limit]],
        next_cursor=found[limit - 1].id if len(found) > limit else None,
    )


@route("GET", "/v1/tokens/{id}", says="Read a token.", scope="admin", answer=TokenJson)
async def read_token(call: Call[Any]) -> TokenJson:
    return token_json(await _found(call), await call.services.tokens.used())


@route(
    "DELETE",
    "/v1/tokens/{id}",
    says="Revoke a token: from now on it is refused. It stays in the list of archived ones.",
    scope="admin",
    query=Revoking,
    answer=TokenJson,
    refusals=("CONFLICT",),
)
async def revoke_token(call: Call[Revoking]) -> TokenJson:
    found = await _found(call)
    if call.token is not None and found.id == call.token.id and not call.query.self:
        raise ApiError(
            "CONFLICT",
            "this is the token that the request is made with, and whoever has no other is locked out then; "
            "use another one, or write ?self=true to revoke it nevertheless",
        )
    services = call.services
    return await tokens.revoke(
        services.tokens, services.changes, found, now_ms=services.now_ms(), who=call.who, request_id=call.request_id
    )


async def _found(call: Call[Any]) -> Token:
    id_ = call.path["id"]
    for token in await call.services.tokens.listed():
        if token.id == id_:
            return token
    raise missing("token", id_)
