"""What a caller may assume after each kind of failure, asked of real servers in real trouble."""

import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from redis.asyncio import Redis

from tests.support.processes import until
from tests.support.server import Server, start_loading
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.server import connection
from witnd.store.server.connection import connect, endpoint, redis_errors, refusal

StartServer = Callable[..., Server]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.2)


async def attempt(client: Redis) -> None:
    with redis_errors():
        await client.execute_command("XADD", "s", "*", "a", "1")


async def refused(client: Redis) -> StoreRefused:
    with pytest.raises(StoreRefused) as caught:
        await attempt(client)
    return caught.value


async def test_replies_are_bytes_in_the_shapes_of_resp2(client: Redis) -> None:
    assert b" resp=2 " in await client.execute_command("CLIENT", "INFO")
    await client.xadd("s", {"a": "1"}, id="1-1")
    assert await client.execute_command("XREAD", "STREAMS", "s", "0") == [[b"s", [(b"1-1", {b"a": b"1"})]]]


async def test_a_lost_reply_is_unknown_and_the_command_is_not_sent_again(server: StartServer, impatient: None) -> None:
    hung = server()
    async with connect(hung.url) as client:
        await client.ping()
        hung.pause()
        with pytest.raises(StoreUnavailable):
            await attempt(client)
        hung.resume()
        assert await client.xlen("s") == 1


async def test_a_dead_server_is_unavailable_and_the_client_works_again_after_it(
    server: StartServer,
) -> None:
    mortal = server()
    async with connect(mortal.url) as client:
        await client.ping()
        mortal.kill()
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="no answer from Redis"):
                await attempt(client)
        mortal.start()
        await attempt(client)
        assert await client.xlen("s") == 1


async def test_an_address_where_nobody_listens_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with connect(f"redis://127.0.0.1:{taken.getsockname()[1]}/0") as client:
            with pytest.raises(StoreUnavailable, match=r"127\.0"):
                await attempt(client)


async def test_an_answer_that_is_not_of_redis_is_unavailable() -> None:
    async def talk(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        async with connect(f"redis://127.0.0.1:{port}/0") as client:
            with pytest.raises(StoreUnavailable):
                await attempt(client)
        tasks.cancel_scope.cancel()


async def test_a_replica_refuses(server: StartServer) -> None:
    replica = server(extra=("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "yes"))
    async with connect(replica.url) as client:
        assert (await refused(client)).reason.startswith("Redis is a read-only replica")


async def test_a_server_at_its_memory_limit_refuses_in_and_out_of_scripts_and_pipelines(
    server: StartServer,
) -> None:
    full = server(extra=("--maxmemory", "1"))
    async with connect(full.url) as client:
        assert "memory limit" in (await refused(client)).reason
        with pytest.raises(StoreRefused, match="memory limit"), redis_errors():
            await client.eval("return redis.call('SET', KEYS[1], '1')", 1, "k")
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.set("k", "1")
            with pytest.raises(StoreRefused, match="memory limit"), redis_errors():
                await pipeline.execute()
        assert await client.exists("k") == 0


async def test_a_server_that_cannot_write_its_log_refuses(server: StartServer) -> None:
    stuck = server()
    async with connect(stuck.url) as client:
        await attempt(client)
        resource.prlimit(stuck.pid, resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
        failure = await _until_refused(client)
        assert failure.reason.startswith("Redis cannot write to its disk")
        assert "free space" in failure.remedy
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.set("k", "1")
            with pytest.raises(StoreRefused, match="cannot write to its disk"), redis_errors():
                await pipeline.execute()


async def test_a_server_that_is_loading_refuses(server: StartServer) -> None:
    slow = server()
    start_loading(slow)
    async with connect(slow.url) as client:
        failure = await _until_refused(client)
        assert failure.reason.startswith("Redis is still loading its data")


async def test_a_server_in_a_long_script_refuses(server: StartServer) -> None:
    busy = server(extra=("--busy-reply-threshold", "1"))
    async with connect(busy.url) as client, anyio.create_task_group() as tasks:

        async def endless() -> None:
            async with connect(busy.url) as other:
                with pytest.raises(Exception, match="killed by user"):
                    await other.eval("while true do end", 0)

        tasks.start_soon(endless)
        failure = await _until_refused(client)
        assert failure.reason.startswith("Redis is busy with a long script")
        await client.script_kill()


async def _until_refused(client: Redis) -> StoreRefused:
    """The first refusal of a server that does not listen yet, or is not in trouble yet."""
    with anyio.fail_after(10):
        while True:
            try:
                await attempt(client)
            except StoreRefused as failure:
                return failure
            except StoreUnavailable:
                await anyio.sleep(0.005)


@asynccontextmanager
async def protected(start: StartServer, password: str | None) -> AsyncIterator[Redis]:
    locked = start(extra=("--user", "default", "on", ">right", "~*", "+@all", "-xadd"), wait=False)
    until(lambda: locked.socket.exists(), "the server listens")
    async with connect(locked.url, password=password) as client:
        yield client


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        (None, "Redis requires authentication"),
        ("wrong", "Redis does not accept the user or password"),
        ("right", "the Redis user lacks a permission"),
    ],
)
async def test_a_login_that_does_not_suffice_refuses(server: StartServer, password: str | None, reason: str) -> None:
    async with protected(server, password) as client:
        assert (await refused(client)).reason.startswith(reason)


async def test_a_server_without_its_replicas_refuses(server: StartServer) -> None:
    lonely = server(extra=("--min-replicas-to-write", "1"))
    async with connect(lonely.url) as client:
        assert (await refused(client)).reason.startswith("Redis has too few replicas")


async def test_a_server_with_too_many_clients_refuses(server: StartServer) -> None:
    crowded = server()
    async with connect(crowded.url) as first, connect(crowded.url) as second:
        await first.execute_command("CONFIG", "SET", "maxclients", "1")
        # The server closes the connection right behind its reply, which then may not arrive.
        with pytest.raises((StoreRefused, StoreUnavailable)):
            await attempt(second)


async def test_other_error_replies_are_mistakes_of_ours_and_pass(client: Redis) -> None:
    await client.set("s", "1")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await attempt(client)


@pytest.mark.parametrize(
    "reply",
    [
        "ERR max number of clients reached",
        "CLUSTERDOWN Hash slot not served",
        "MASTERDOWN Link with MASTER is down",
        "MOVED 3999 127.0.0.1:6381",
        "ASK 3999 127.0.0.1:6381",
        "TRYAGAIN Multiple keys request during rehashing of slot",
    ],
)
def test_replies_that_mean_that_nothing_was_done_are_refusals_with_a_remedy(reply: str) -> None:
    failure = refusal(reply)
    assert failure is not None
    assert reply.partition(" ")[2] in failure.reason
    assert failure.remedy


@pytest.mark.parametrize("reply", ["ERR no such key", "NOSCRIPT No matching script", "", "OOMPH no"])
def test_other_replies_are_no_refusals(reply: str) -> None:
    assert refusal(reply) is None


def test_the_parts_of_an_address() -> None:
    tcp = endpoint("rediss://us%65r:p%40ss@redis.example:6380/3?ssl_ca_certs=/ca.pem")
    assert (tcp.host, tcp.port, tcp.db, tcp.tls) == ("redis.example", 6380, 3, True)
    assert (tcp.username, tcp.password, tcp.ca_file) == ("user", "p@ss", "/ca.pem")
    local = endpoint("unix:///run/redis.sock?db=2", password="secret")
    assert (local.path, local.db, local.password, local.host) == (
        "/run/redis.sock",
        2,
        "secret",
        None,
    )
    six = endpoint("redis://[::1]")
    assert (six.host, six.port, six.db, six.context()) == ("::1", 6379, 0, None)


@pytest.mark.parametrize("url", ["redis://u:hidden@h/1", "unix://u:hidden@/run/s", "rediss://:hidden@[::1]:1"])
def test_an_address_is_shown_without_its_password(url: str) -> None:
    shown = f"{endpoint(url)} {endpoint(url)!r}"
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://h", "must start with"),
        ("redis://", "has no host"),
        ("redis://h:0", "no usable port"),
        ("redis://h:99999", "no usable port"),
        ("redis://h:port", "no usable port"),
        ("redis://h/one", "whole number"),
        ("redis://h/0?db=x", "whole number"),
        ("redis://h/0#5", "after #"),
        ("redis://h/0?socket_timeout=60", "unknown option 'socket_timeout'"),
        ("redis://[::1", r"\[::1\]"),
        ("unix://relative/path", "absolute path"),
        ("unix://", "absolute path"),
    ],
)
def test_an_unusable_address_is_refused_with_the_reason(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        endpoint(url)
