"""The record of a deployment: made once, refused where it contradicts the program."""

from uuid import UUID

import anyio
import pytest
from redis.asyncio import Redis

from witnd.config import ConfigError
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys
from witnd.store.meta import FORMAT, Meta, open_meta, read_meta
from witnd.store.server.connection import connect

KEYS = GlobalKeys("witn")


async def test_the_first_start_makes_the_record_and_later_ones_find_it(client: Redis) -> None:
    assert await read_meta(client, KEYS, 4) is None
    made = await open_meta(client, KEYS, 4)
    assert UUID(made.deployment).version == 4
    assert (made.partitions, made.format) == (4, FORMAT)
    assert await open_meta(client, KEYS, 4) == made
    assert await read_meta(client, KEYS, 4) == made


async def test_daemons_that_start_together_agree_on_one_deployment(client: Redis, redis_url: str) -> None:
    found: list[Meta] = []

    async def start() -> None:
        async with connect(redis_url) as own:
            found.append(await open_meta(own, KEYS, 1))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(start)
    assert len(found) == 20
    assert len(set(map(repr, found))) == 1


async def test_daemons_that_start_together_with_other_numbers_are_told_apart(client: Redis, redis_url: str) -> None:
    outcomes: list[str] = []

    async def start(partitions: int) -> None:
        async with connect(redis_url) as own:
            try:
                await open_meta(own, KEYS, partitions)
            except ConfigError:
                outcomes.append("refused")
            else:
                outcomes.append("started")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start, 1)
        tasks.start_soon(start, 2)
    assert sorted(outcomes) == ["refused", "started"]


@pytest.mark.parametrize("opening", [open_meta, read_meta])
async def test_another_number_of_partitions_is_refused_naming_both(client: Redis, opening) -> None:
    await open_meta(client, KEYS, 4)
    with pytest.raises(ConfigError) as refused:
        await opening(client, KEYS, 2)
    [mistake] = refused.value.mistakes
    assert mistake.path == "redis.partitions"
    assert "is 2" in mistake.message
    assert "has 4" in mistake.message
    assert "set it to 4" in mistake.message


@pytest.mark.parametrize("opening", [open_meta, read_meta])
async def test_data_of_a_newer_version_is_refused(client: Redis, opening) -> None:
    await open_meta(client, KEYS, 1)
    await client.hset(KEYS.meta, "format", FORMAT + 1)
    with pytest.raises(Unsafe, match=f"format {FORMAT + 1} of a newer witnd"):
        await opening(client, KEYS, 1)


@pytest.mark.parametrize("opening", [open_meta, read_meta])
@pytest.mark.parametrize("damage", [("partitions", "many"), ("deployment", None)])
async def test_a_damaged_record_is_not_guessed_at(client: Redis, opening, damage) -> None:
    await open_meta(client, KEYS, 1)
    field, value = damage
    if value is None:
        await client.hdel(KEYS.meta, field)
    else:
        await client.hset(KEYS.meta, field, value)
    with pytest.raises(Unsafe, match="witn:meta is damaged"):
        await opening(client, KEYS, 1)


@pytest.mark.parametrize("opening", [open_meta, read_meta])
@pytest.mark.parametrize("number", [3, 2, 1, 0, -1])
async def test_data_of_another_format_are_refused_by_name(client: Redis, opening, number: int) -> None:
    await client.hset(KEYS.meta, mapping={"format": number, "deployment": "d", "partitions": 1})
    with pytest.raises(Unsafe) as refused:
        await opening(client, KEYS, 1)
    assert f"has format {number} " in refused.value.reason
    assert f"reads format {FORMAT}" in refused.value.reason
    assert "run the version that wrote the data, or use another redis.prefix" in refused.value.remedy


@pytest.mark.parametrize("opening", [open_meta, read_meta])
async def test_the_format_is_refused_before_another_number_of_partitions(client: Redis, opening) -> None:
    await client.hset(KEYS.meta, mapping={"format": 1, "deployment": "d", "partitions": 4})
    with pytest.raises(Unsafe, match="has format 1"):
        await opening(client, KEYS, 1)


@pytest.mark.parametrize("opening", [open_meta, read_meta])
@pytest.mark.parametrize(
    "trace",
    ["witn:{0}:state", "witn:{3}:state", "witn:{shared}:billing:state", "witn:{billing}:state", "witn:catalogue"],
)
async def test_data_without_the_record_are_not_a_first_start(client: Redis, opening, trace: str) -> None:
    await client.hset(trace, "seq", "1")
    with pytest.raises(Unsafe) as refused:
        await opening(client, KEYS, 4)
    assert "witn:meta is lost" in refused.value.reason
    assert trace in refused.value.reason
    assert await client.exists(KEYS.meta) == 0


async def test_a_catalogue_and_tokens_may_be_there_before_the_first_start(client: Redis) -> None:
    await client.rpush(KEYS.catalogue, "{}")
    await client.hset(KEYS.tokens, "revision", 1)
    await client.xadd("witn:{0}:events", {"data": "{}"})
    assert (await open_meta(client, KEYS, 1)).format == FORMAT
