"""The catalogue in Redis: from when on a version is in force, and two who write at once."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Disconnected

from tests.support.companies import SELLER, TAX
from tests.support.conditions import leaf
from tests.support.server import Server
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.chain import EMPTY, head_after
from witnd.domain.catalogue.plan import Change
from witnd.domain.catalogue.seller import Seller
from witnd.domain.catalogue.tax import Tax
from witnd.store.catalogue import versions as store_module
from witnd.store.catalogue.versions import AppliedChange, CatalogueChanged, CatalogueRefused, CatalogueStore
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.server.connection import connect

KEYS = GlobalKeys("witn")
FUTURE = 4_000_000_000_000  # the year 2096


@pytest.fixture
def store(client: Redis) -> CatalogueStore:
    return CatalogueStore(client, KEYS, 1)


def named(name: str, key: str = "acme") -> Change:
    content = {"name": name, "email": None, "rate_card": None}
    return Change(kind="customer", key=key, content=content)


def name_at(catalogue: Catalogue, at: int) -> str | None:
    acme = catalogue.customer("acme", at)
    return acme and acme.name


async def wrote(
    store: CatalogueStore, *changes: Change, effective_from: int | None = None
) -> tuple[Catalogue, AppliedChange]:
    catalogue = Catalogue()
    applied = await store.change(catalogue, lambda _catalogue, _at: changes, effective_from)
    assert applied is not None
    return catalogue, applied


async def clock(client: Redis) -> int:
    seconds, microseconds = await client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def test_an_empty_catalogue_loads_as_nothing(store: CatalogueStore) -> None:
    catalogue = Catalogue()
    assert await store.load(catalogue) == 0
    assert catalogue.revision == 0


async def test_what_is_written_reads_back_the_same(store: CatalogueStore) -> None:
    condition = [leaf("é\x1b", "gte", 1e22), leaf("a", "match", 0.1), leaf("a", "match", True)]
    content = {
        "name": 'quote " and \\ and \u2028',
        "settlement_period": 60,
        "attribution_method": "last",
        "condition": condition,
    }
    change = Change(kind="agent", key="a\nb", archived=True, content=content)
    catalogue, applied = await wrote(store, change)
    entry = catalogue.entry("agent", "a\nb")
    assert entry is not None
    assert (entry.archived, entry.content, entry.effective_from) == (True, content, 0)
    assert json.dumps(entry.content) == json.dumps(content)
    assert applied == AppliedChange(revision=1, effective_from=0)


async def test_the_stored_entry_is_the_documented_json(store: CatalogueStore, client: Redis) -> None:
    await wrote(store, named("Acme"))
    [raw] = await client.lrange("witn:{shared}:catalogue", 0, -1)
    assert json.loads(raw) == {
        "v": 1,
        "kind": "customer",
        "key": "acme",
        "effective_from": 0,
        "archived": False,
        "content": {"name": "Acme", "email": None, "rate_card": None},
    }


async def test_only_what_is_new_since_the_known_revision_is_read(
    store: CatalogueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PAGE", 3)
    catalogue, _ = await wrote(store, *[named(str(i), key=str(i)) for i in range(7)])
    assert catalogue.revision == 7
    await wrote(store, named("8", key="8"))
    assert await store.load(catalogue) == 1
    assert await store.load(catalogue) == 0


async def test_while_every_log_is_empty_a_version_is_in_force_from_the_beginning(
    store: CatalogueStore, client: Redis
) -> None:
    await client.xgroup_create("witn:{0}:events", "tools", id="0", mkstream=True)
    _, applied = await wrote(store, named("Acme"))
    assert applied.effective_from == 0


async def test_a_second_version_before_the_first_event_follows_the_clock(store: CatalogueStore, client: Redis) -> None:
    await wrote(store, named("old"))
    before = await clock(client)
    catalogue, applied = await wrote(store, named("new"), named("other", key="other"))
    assert before < applied.effective_from <= await clock(client) + 1
    assert name_at(catalogue, 0) == "old"
    assert name_at(catalogue, applied.effective_from) == "new"
    # All of one change begins at one instant, even what could have begun earlier.
    assert catalogue.instants("customer", "other") == (applied.effective_from,)


async def test_changes_in_quick_succession_follow_one_another(store: CatalogueStore) -> None:
    catalogue = Catalogue()
    for number in range(20):
        changes = [named(str(number)), *([named("x", key="b")] if number % 3 else [])]
        catalogue, applied = await wrote(store, *changes)
        assert name_at(catalogue, applied.effective_from) == str(number)
    assert name_at(catalogue, FUTURE) == "19"


async def test_once_there_was_an_event_a_version_begins_after_clock_and_log(
    store: CatalogueStore, client: Redis
) -> None:
    before = await clock(client)
    await client.xadd("witn:{0}:events", {"data": "{}"}, id=b"5-0")
    _, applied = await wrote(store, named("Acme"))
    assert before < applied.effective_from <= await clock(client) + 1


async def test_a_version_begins_after_an_entry_ahead_of_the_clock_in_any_partition(
    client: Redis,
) -> None:
    store = CatalogueStore(client, KEYS, 3)
    ahead = await clock(client) + 30_000
    await client.xadd(Keys("witn", 2).events, {"data": "{}"}, id=f"{ahead}-7")
    await client.xadd(Keys("witn", 1).events, {"data": "{}"}, id=b"5-0")
    _, applied = await wrote(store, named("Acme"))
    assert applied.effective_from == ahead + 1


async def test_a_log_that_was_trimmed_to_nothing_was_not_empty(store: CatalogueStore, client: Redis) -> None:
    await client.xadd("witn:{0}:events", {"data": "{}"})
    await client.xtrim("witn:{0}:events", maxlen=0, approximate=False)
    _, applied = await wrote(store, named("Acme"))
    assert applied.effective_from > 0


async def test_an_instant_before_accepted_events_is_refused(store: CatalogueStore, client: Redis) -> None:
    await client.xadd("witn:{0}:events", {"data": "{}"})
    with pytest.raises(CatalogueRefused, match="earliest instant"):
        await wrote(store, named("Acme"), effective_from=await clock(client) - 10)
    assert await client.llen("witn:{shared}:catalogue") == 0


async def test_any_instant_is_taken_while_every_log_is_empty(store: CatalogueStore) -> None:
    for at in (7, 3, FUTURE):
        _, applied = await wrote(store, named(str(at)), effective_from=at)
        assert applied.effective_from == at
    catalogue = Catalogue()
    await store.load(catalogue)
    assert [name_at(catalogue, at) for at in (2, 3, 7, FUTURE)] == [None, "3", "7", str(FUTURE)]


async def test_two_versions_of_a_key_at_one_instant_are_refused(store: CatalogueStore, client: Redis) -> None:
    await wrote(store, named("old"), effective_from=FUTURE)
    with pytest.raises(CatalogueRefused, match="already has a version"):
        await wrote(store, named("new"), effective_from=FUTURE)
    await wrote(store, named("other", key="other"), effective_from=FUTURE)
    assert await client.llen("witn:{shared}:catalogue") == 2


async def test_a_change_made_now_leaves_a_scheduled_version_ahead_of_it(
    store: CatalogueStore,
) -> None:
    await wrote(store, named("first"))
    await wrote(store, named("scheduled"), effective_from=FUTURE)
    catalogue, applied = await wrote(store, named("now"))
    assert 0 < applied.effective_from < FUTURE
    assert name_at(catalogue, applied.effective_from) == "now"
    assert name_at(catalogue, FUTURE) == "scheduled"


async def test_a_change_made_now_begins_now_however_soon_another_is_scheduled(
    store: CatalogueStore, client: Redis
) -> None:
    await wrote(store, named("first"))
    soon = await clock(client) + 59_000
    await wrote(store, named("soon"), effective_from=soon)
    before = await clock(client)
    catalogue, applied = await wrote(store, named("now"))
    assert before < applied.effective_from <= await clock(client) + 1
    assert name_at(catalogue, soon - 1) == "now"
    assert name_at(catalogue, soon) == "soon"


async def test_two_changes_of_a_key_while_the_log_is_ahead_get_instants_of_their_own(
    store: CatalogueStore, client: Redis
) -> None:
    ahead = await clock(client) + 30_000
    await client.xadd("witn:{0}:events", {"data": "{}"}, id=f"{ahead}-0")
    for number in range(3):
        catalogue, applied = await wrote(store, named(str(number)))
        assert applied.effective_from == ahead + 1 + number
    assert name_at(catalogue, FUTURE) == "2"


async def test_a_change_is_compared_with_the_version_that_took_effect_while_it_was_planned(
    store: CatalogueStore, client: Redis
) -> None:
    await wrote(store, named("first"))
    states: list[str | None] = []

    def plan(catalogue: Catalogue, at: int) -> Sequence[Change]:
        states.append(name_at(catalogue, at))
        return [named("mine")]

    soon = await clock(client) + 300
    await wrote(store, named("soon"), effective_from=soon)
    present = store.next_instant

    async def slow() -> int:
        at = await present()
        while not states and await clock(client) <= soon:
            await anyio.sleep(0.01)
        return at

    store.next_instant = slow  # type: ignore[method-assign]
    applied = await store.change(Catalogue(), plan)
    assert applied is not None
    assert states == ["first", "soon"]


async def test_changes_without_a_pause_all_happen_in_their_order(store: CatalogueStore) -> None:
    catalogue = Catalogue()
    for name in ["a", "b"] * 10:

        def plan(current: Catalogue, at: int, name: str = name) -> Sequence[Change]:
            return [] if name_at(current, at) == name else [named(name)]

        applied = await store.change(catalogue, plan)
        assert applied is not None
        assert name_at(catalogue, applied.effective_from) == name
    assert len(set(catalogue.instants("customer", "acme"))) == 20


async def test_a_change_planned_against_an_older_revision_writes_nothing(store: CatalogueStore, client: Redis) -> None:
    behind = Catalogue()
    await wrote(store, named("faster"))
    with pytest.raises(CatalogueChanged):
        await store.apply(behind, [named("slower")])
    assert await client.llen("witn:{shared}:catalogue") == 1


async def test_a_change_is_planned_again_when_somebody_else_was_faster(store: CatalogueStore, client: Redis) -> None:
    other = CatalogueStore(client, KEYS, 1)
    seen: list[str | None] = []

    def plan(catalogue: Catalogue, at: int) -> Sequence[Change]:
        seen.append(name_at(catalogue, at))
        return [named("mine")]

    catalogue = Catalogue()
    load = store.load

    async def load_and_lose_the_race(target: Catalogue) -> int:
        added = await load(target)
        if not seen:
            await wrote(other, named("theirs"))
        return added

    store.load = load_and_lose_the_race  # type: ignore[method-assign]
    applied = await store.change(catalogue, plan)
    assert applied is not None
    assert seen == [None, "theirs"]
    assert applied.revision == catalogue.revision == 2


async def test_a_plan_without_changes_writes_nothing(store: CatalogueStore, client: Redis) -> None:
    assert await store.change(Catalogue(), lambda _catalogue, _at: []) is None
    assert await client.exists("witn:{shared}:catalogue") == 0


async def test_after_a_lost_reply_planning_again_finds_what_was_written(
    store: CatalogueStore, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    evalsha, calls = client.evalsha, []

    async def lose_the_reply(*args: Any) -> Any:
        calls.append(args)
        reply = await evalsha(*args)
        if len(calls) == 1:
            raise Disconnected("lost")
        return reply

    def plan(catalogue: Catalogue, at: int) -> Sequence[Change]:
        return [] if name_at(catalogue, at) == "Acme" else [named("Acme")]

    await client.script_load(store_module._APPLY.text)
    monkeypatch.setattr(client, "evalsha", lose_the_reply)
    with pytest.raises(StoreUnavailable):
        await store.change(Catalogue(), plan)
    assert await store.change(Catalogue(), plan) is None
    assert await client.llen("witn:{shared}:catalogue") == 1


async def test_the_script_is_found_again_after_the_server_forgot_it(store: CatalogueStore, client: Redis) -> None:
    await wrote(store, named("a"))
    await client.script_flush()
    await wrote(store, named("b"))
    assert await client.llen("witn:{shared}:catalogue") == 2


async def test_another_number_of_partitions_than_the_recorded_one_is_refused(
    store: CatalogueStore, client: Redis
) -> None:
    await client.hset("witn:meta", mapping={"format": "2", "partitions": "4"})
    with pytest.raises(CatalogueRefused, match=r"redis\.partitions = 4"):
        await wrote(store, named("Acme"))
    await wrote(CatalogueStore(client, KEYS, 4), named("Acme"))


async def test_a_catalogue_that_became_shorter_is_unsafe(store: CatalogueStore, client: Redis) -> None:
    catalogue, _ = await wrote(store, named("a"), named("b", key="b"))
    await client.rpop("witn:{shared}:catalogue")
    with pytest.raises(Unsafe, match="has 1 entries, and its head says 2"):
        await store.load(catalogue)
    with pytest.raises(Unsafe, match="has 1 entries, and its head says 2"):
        await store.apply(catalogue, [named("c", key="c")])


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"{}",
        b'{"kind":"invoice","key":"a","effective_from":0,"archived":false,"content":{}}',
        b'{"kind":"agent","key":"a","effective_from":0,"archived":false,"content":{}}',
        b'{"kind":"customer","key":"a","effective_from":0,"archived":false,"content":[]}',
        b'{"v":2,"kind":"customer","key":"a","effective_from":0,"archived":false,"content":{}}',
        b'{"v":2,"surprise":1}',
    ],
)
async def test_an_entry_that_cannot_be_read_stops_the_reader(store: CatalogueStore, client: Redis, raw: bytes) -> None:
    await client.rpush(KEYS.catalogue, raw)
    await client.set(KEYS.catalogue_head, str(head_after(EMPTY, [raw])))
    with pytest.raises(Unsafe, match="entry 0 of the catalogue"):
        await store.load(Catalogue())


async def test_a_server_at_its_memory_limit_refuses_before_anything_is_written(
    server: Callable[..., Server],
) -> None:
    full = server()
    async with connect(full.url) as client:
        store = CatalogueStore(client, KEYS, 1)
        await wrote(store, named("old"))
        await client.config_set("maxmemory", "1")
        with pytest.raises(StoreRefused, match="memory limit"):
            await wrote(store, named("new"), named("b", key="b"))
        assert await client.llen("witn:{shared}:catalogue") == 1


async def test_a_catalogue_key_of_another_type_is_left_alone(store: CatalogueStore, client: Redis) -> None:
    await client.set("witn:{shared}:catalogue", "mine")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await store.apply(Catalogue(), [named("a")])
    assert await client.get("witn:{shared}:catalogue") == b"mine"


@pytest.mark.slow
async def test_ten_thousand_customers_are_one_change(store: CatalogueStore) -> None:
    catalogue, applied = await wrote(store, *[named("x", key=f"c{i}") for i in range(10_000)])
    assert applied.revision == catalogue.revision == 10_000


async def test_the_seller_and_taxes_read_back_the_same(store: CatalogueStore) -> None:
    seller = Change(kind="seller", key="seller", content=SELLER)
    tax = Change(kind="tax", key="vat", archived=True, content=TAX)
    await wrote(store, seller, tax)
    again = Catalogue()
    await store.load(again)
    assert again.seller(FUTURE) == Seller.from_content(SELLER)
    assert again.tax("vat", 0) == Tax.from_content("vat", TAX)
