"""API tokens: create, list and revoke them."""

from typing import Any

from msgspec import Struct

from witnd.app import tokens
from witnd.app.tokens import NewToken, TokenJson, token_json
from witnd.web.errors import ApiError
from witnd.web.http.route import Call, Listing, Scope, route


class TokenIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`name` describes who uses the token, and need not be unique. `scopes`: what the token permits; `admin` includes
    the others. `rate`: maximum requests per second; default: no limit."""

    name: str
    scopes: list[Scope]
    rate: float | None = None


class TokenListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Set `archived` to true to include revoked tokens."""

    archived: bool = False


class Revoking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`self`: must be true to revoke the token of this request."""

    self: bool = False


class TokenPage(Struct, frozen=True, kw_only=True):
    """Tokens, the oldest first."""

    data: list[TokenJson]
    next_cursor: str | None


@route(
    "POST",
    "/v1/tokens",
    says="Create a token. Only this response contains its text.",
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
        call.author,
        name=body.name,
        scopes=body.scopes,
        rate=body.rate,
        now_ms=services.now_ms(),
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
    page = await tokens.page(call.services.tokens, *call.page(), archived=call.query.archived)
    return TokenPage(data=page.data, next_cursor=page.cursor)


@route("GET", "/v1/tokens/{id}", says="Read a token.", scope="admin", answer=TokenJson)
async def read_token(call: Call[Any]) -> TokenJson:
    return token_json(await tokens.named(call.services.tokens, call.path["id"]), await call.services.tokens.last_uses())


@route(
    "DELETE",
    "/v1/tokens/{id}",
    says="Revoke a token. It is refused at once, and stays in the list of archived tokens.",
    scope="admin",
    query=Revoking,
    answer=TokenJson,
    refusals=("CONFLICT",),
)
async def revoke_token(call: Call[Revoking]) -> TokenJson:
    found = await tokens.named(call.services.tokens, call.path["id"])
    if call.token is not None and found.id == call.token.id and not call.query.self:
        raise ApiError(
            "CONFLICT",
            "this is the token of this request; use another token, or add ?self=true to revoke it anyway",
        )
    services = call.services
    return await tokens.revoke(services.tokens, call.author, found, now_ms=services.now_ms())
