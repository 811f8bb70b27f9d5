"""A change and its entry of the change log are one write: a lost connection leaves both or neither."""

import json
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Disconnected

from witnd.app.tokens import token_json
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.plan import Change as Planned
from witnd.store.access.change_log import Author, Changes
from witnd.store.access.tokens import Token, Tokens
from witnd.store.catalogue import versions as store_module
from witnd.store.catalogue.change_entries import change_entries
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import GlobalKeys

KEYS = GlobalKeys("witn")
AUTHOR = Author(who="token ops", source="api", token_id="5f0c3a71b2d9", request_id="r1")
ACME = Planned(kind="customer", key="acme", content={"name": "Acme", "email": None, "rate_card": None})


async def change(client: Redis) -> None:
    store = CatalogueStore(client, KEYS, 1)
    await store.change(
        Catalogue(),
        lambda _catalogue, _at: [ACME],
        log=lambda: change_entries(AUTHOR, "create", [ACME], {"acme": None}),
    )


@pytest.mark.parametrize("is_written", [True, False])
async def test_a_version_and_its_entry_are_written_together_or_not_at_all(
    client: Redis, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    evalsha = client.evalsha

    async def cut(*args: Any) -> Any:
        if is_written:
            await evalsha(*args)
        raise Disconnected("cut")

    await client.script_load(store_module._APPLY.text)
    monkeypatch.setattr(client, "evalsha", cut)
    with pytest.raises(StoreUnavailable):
        await change(client)
    assert await client.llen(KEYS.catalogue) == await client.xlen(KEYS.changes) == int(is_written)


async def test_the_entry_names_the_token_and_the_instant_that_the_script_chose(client: Redis) -> None:
    await client.xadd("witn:{0}:events", {"data": "{}"})
    await change(client)
    [one] = await Changes(client, KEYS).newest(10)
    assert (one.who, one.token_id, one.source, one.what, one.key) == (
        "token ops", "5f0c3a71b2d9", "api", "customer.create", "acme",
    )  # fmt: skip
    [entry] = [json.loads(raw) for raw in await client.lrange(KEYS.catalogue, 0, -1)]
    [[_, fields]] = await client.xrange(KEYS.changes)
    stored = json.loads(fields[b"data"])
    assert (stored["v"], stored["effective_from"]) == (1, entry["effective_from"])
    assert one.after["effective_from"].endswith("Z")
    assert one.after["name"] == "Acme"


@pytest.mark.parametrize("is_written", [True, False])
async def test_a_token_and_its_entry_are_written_together_or_not_at_all(
    client: Redis, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    tokens = Tokens(client, KEYS, lambda: 0.0)
    pipeline = client.pipeline

    def cutting(*args: Any, **more: Any) -> Any:
        made = pipeline(*args, **more)
        execute = made.execute

        async def cut() -> Any:
            if is_written:
                await execute()
            raise Disconnected("cut")

        made.execute = cut
        return made

    monkeypatch.setattr(client, "pipeline", cutting)

    def entry(token: Token) -> Any:
        return AUTHOR.change("token.create", token.id, after=token_json(token, {}))

    with pytest.raises(StoreUnavailable):
        await tokens.create("shop", ["ingest"], 0, logged=entry)
    assert await client.exists(KEYS.tokens) == await client.xlen(KEYS.changes) == int(is_written)


async def test_a_token_record_that_cannot_be_read_is_refused_and_others_work(client: Redis) -> None:
    tokens = Tokens(client, KEYS, lambda: 0.0)
    good, text = await tokens.create("good", ["read"], 0)
    newer, other = await tokens.create("newer", ["read"], 0)
    bad, third = await tokens.create("bad", ["read"], 0)
    await client.hset(KEYS.tokens, newer.id, '{"v":2}')
    await client.hset(KEYS.tokens, bad.id, "xxxx")
    checked = Tokens(client, KEYS, lambda: 0.0)
    assert await checked.check(text) == good
    assert await checked.check(other) is None
    assert await checked.check(third) is None
    assert [token.id for token in await checked.readable()] == [good.id]


async def test_an_entry_of_a_newer_format_is_shown_as_unreadable_in_its_place(client: Redis) -> None:
    await client.xadd(KEYS.changes, {"data": '{"v":2}'})
    await change(client)
    _, newer = await Changes(client, KEYS).newest(10)
    assert newer.what == "unreadable"
    assert "has format 2" in newer.after["reason"]
