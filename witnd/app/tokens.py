"""List, create and revoke API tokens. Stored digests are never shown; the text is shown once."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from witnd.app.errors import all_invalid, invalid_cursor, not_found
from witnd.domain.values import instant
from witnd.store.access.change_log import Author, Change
from witnd.store.access.tokens import DamagedToken, Token, Tokens, mistakes
from witnd.store.errors import Unsafe
from witnd.store.page import Page


class TokenJson(Struct, frozen=True, kw_only=True):
    """A token. `rate`: maximum requests per second, null for no limit. `last_used_at` can be a few seconds old; null
    if never used. `name` need not be unique."""

    id: str
    name: str
    scopes: list[str]
    rate: float | None
    created_at: str
    last_used_at: str | None
    revoked_at: str | None


class NewToken(TokenJson, frozen=True, kw_only=True):
    """A token with its text, `token`. Only this response contains the text."""

    token: str


def token_json(token: Token, used: Mapping[str, int]) -> TokenJson:
    return TokenJson(**_fields(token, used))


def new_token_json(token: Token, text: str) -> NewToken:
    return NewToken(**_fields(token, {}), token=text)


async def page(tokens: Tokens, limit: int, after: str | None, *, archived: bool) -> Page[TokenJson]:
    """Return a page of tokens, the oldest first. Revoked ones are included if `archived` is true."""
    found = await tokens.readable()
    if after is not None:
        places = [place for place, token in enumerate(found) if token.id == after]
        if not places:
            raise invalid_cursor(after)
        found = found[places[0] + 1 :]
    found = [token for token in found if archived or token.revoked_at is None]
    used = await tokens.last_uses()
    return Page(
        [token_json(token, used) for token in found[:limit]], found[limit - 1].id if len(found) > limit else None
    )


async def every(tokens: Tokens, *, archived: bool) -> tuple[list[TokenJson], list[DamagedToken]]:
    """Return all tokens, the oldest first, and the unreadable ones."""
    used = await tokens.last_uses()
    sound, damaged = await tokens.all()
    return [token_json(one, used) for one in sound if archived or one.revoked_at is None], damaged


async def named(tokens: Tokens, id_: str) -> Token:
    """Return the token with this id, revoked or not. Raise `Unsafe` if it is damaged."""
    sound, damaged = await tokens.all()
    for token in sound:
        if token.id == id_:
            return token
    for one in damaged:
        if one.id == id_:
            raise Unsafe(one.reason, one.remedy)
    raise not_found("token", id_)


def check_new(name: str, scopes: Sequence[str], rate: float | None) -> None:
    """Raise VALIDATION_ERROR with every mistake in a request for a token."""
    if wrong := mistakes(name, scopes, rate):
        raise all_invalid(wrong)


async def create(
    tokens: Tokens, author: Author, *, name: str, scopes: Sequence[str], rate: float | None, now_ms: int
) -> NewToken:
    """Create a token. Raise VALIDATION_ERROR with every mistake."""
    check_new(name, scopes, rate)

    def logged(token: Token) -> Change:
        return author.change("token.create", token.id, after=token_json(token, {}))

    token, text = await tokens.create(name, scopes, now_ms, rate=rate, logged=logged)
    return new_token_json(token, text)


async def revoke(tokens: Tokens, author: Author, token: Token, *, now_ms: int) -> TokenJson:
    """Revoke a token at once. A revoked token stays unchanged."""
    used = await tokens.last_uses()
    if token.revoked_at is not None:
        return token_json(token, used)

    def logged(revoked: Token) -> Change:
        before, after = token_json(token, used), token_json(revoked, used)
        return author.change("token.revoke", token.id, before=before, after=after)

    return token_json(await tokens.revoke(token.id, now_ms, logged=logged) or token, used)


async def remove_unreadable(tokens: Tokens, author: Author, id_: str) -> bool:
    """Remove a token if it is damaged; the API already refuses it. Return whether it was."""
    for damaged in (await tokens.all())[1]:
        if damaged.id == id_:
            change = author.change("token.revoke", id_, before={"unreadable": damaged.reason})
            await tokens.remove_damaged(damaged, change)
            return True
    return False


def _fields(token: Token, used: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": list(token.scopes),
        "rate": token.rate,
        "created_at": instant.render(token.created_at),
        "last_used_at": _instant(used.get(token.id)),
        "revoked_at": _instant(token.revoked_at),
    }


def _instant(ms: int | None) -> str | None:
    return None if ms is None else instant.render(ms)
