"""Tokens on a real server: which texts are good, how soon a revocation is noticed, and what checking costs."""

import asyncio
import hmac
from collections.abc import Callable
from string import printable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.support.searches import examples
from tests.support.server import Server
from witnd.store.access.tokens import FRESH_SECONDS, SCOPES, USED_SECONDS, Token, Tokens, mistakes
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import connect

KEYS = GlobalKeys("witn")


class Clock:
    """Stands still but for what the test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(client: Redis, clock: Clock) -> Tokens:
    return Tokens(client, KEYS, clock)


async def asked(client: Redis) -> int:
    """How often the server was asked for anything of a hash so far."""
    found = await client.info("commandstats")
    return sum(int(stats["calls"]) for name, stats in found.items() if name in ("cmdstat_hget", "cmdstat_hgetall"))


class TestChecking:
    async def test_its_own_text_is_good_and_every_other_is_not(self, tokens: Tokens) -> None:
        token, text = await tokens.create("shop", ["read"], 1)
        other, other_text = await tokens.create("shop", ["admin"], 1)
        secret, other_secret = text.split("_", 2)[2], other_text.split("_", 2)[2]

        assert await tokens.check(text) == token
        for wrong in (
            "", "wn", "wn_", f"wn_{token.id}", f"wn_{token.id}_", f"wn_{token.id}_{other_secret}",
            f"wn_{other.id}_{secret}", f"wn_0123456789ab_{secret}", f"wn__{secret}", f"{token.id}_{secret}",
            text[:-1], f"{text}x", text.upper(), f" {text}", f"xx{text[2:]}", f"wn_revision_{secret}",
            f"wn_{token.id}_{token.digest}", text.replace("wn", "wn\u0131"), f"{text}\u00e9", f"{text}\ud800",
            "wn_" + "a" * 100_000,
        ):  # fmt: skip
            assert await tokens.check(wrong) is None, wrong

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(100), deadline=None)
    @given(text=st.one_of(st.text(), st.text(printable), st.from_regex(r"wn_[0-9a-f]{12}_.{1,60}", fullmatch=True)))
    def test_no_text_that_somebody_makes_up_is_good(self, redis_url: str, text: str) -> None:
        async def main() -> Token | None:
            async with connect(redis_url) as client:
                return await Tokens(client, KEYS, lambda: 0.0).check(text)

        assert asyncio.run(main()) is None

    async def test_its_text_is_kept_nowhere(self, client: Redis, tokens: Tokens) -> None:
        _, text = await tokens.create("shop", ["read"], 1)
        secret = text.split("_", 2)[2].encode()
        for name in await client.keys("*"):
            assert secret not in (await client.dump(name) or b"")
            if await client.type(name) == b"hash":
                fields: Any = await client.hgetall(name)
                assert secret not in b"".join(fields.values())

    async def test_the_digest_is_compared_in_constant_time_whether_there_is_such_an_id_or_not(
        self, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, text = await tokens.create("shop", ["read"], 1)
        compared: list[tuple[int, int]] = []
        plain = hmac.compare_digest

        def compare(one: str, other: str) -> bool:
            compared.append((len(one), len(other)))
            return plain(one, other)

        monkeypatch.setattr(hmac, "compare_digest", compare)
        for one in (text, f"{text}x", "wn_0123456789ab_secret"):
            await tokens.check(one)
        assert compared == [(64, 64)] * 3

    async def test_within_the_fresh_time_nobody_is_asked(self, client: Redis, tokens: Tokens, clock: Clock) -> None:
        token, text = await tokens.create("shop", ["read"], 1)
        assert await tokens.check(text) == token
        before = await asked(client)
        for _ in range(50):
            clock.passes(FRESH_SECONDS / 100)
            assert await tokens.check(text) == token
            assert await tokens.check(f"{text}x") is None
        assert await asked(client) == before
        clock.passes(FRESH_SECONDS)
        await tokens.check(text)
        assert await asked(client) == before + 1, "one field, and nothing more while it stands as it did"

    async def test_many_at_once_ask_once(self, client: Redis, tokens: Tokens, clock: Clock) -> None:
        token, text = await tokens.create("shop", ["read"], 1)
        await tokens.check(text)
        clock.passes(FRESH_SECONDS * 2)
        before = await asked(client)
        assert await asyncio.gather(*[tokens.check(text) for _ in range(200)]) == [token] * 200
        assert await asked(client) == before + 1

    async def test_one_that_is_given_up_takes_the_answer_from_nobody(self, tokens: Tokens) -> None:
        token, text = await tokens.create("shop", ["read"], 1)
        first = asyncio.ensure_future(tokens.check(text))
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(tokens.check(text)) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == [token] * 3

    async def test_without_an_answer_of_redis_nobody_gets_in(self, server: Callable[..., Server], clock: Clock) -> None:
        own = server()
        async with connect(own.url) as client:
            tokens = Tokens(client, KEYS, clock)
            _, text = await tokens.create("shop", ["read"], 1)
            assert await tokens.check(text) is not None
            own.kill()
            clock.passes(FRESH_SECONDS * 2)
            for found in await asyncio.gather(*[tokens.check(text) for _ in range(5)], return_exceptions=True):
                assert isinstance(found, StoreUnavailable)


class TestRevoking:
    async def test_here_it_counts_at_once(self, tokens: Tokens) -> None:
        token, text = await tokens.create("shop", ["read"], 1)
        assert await tokens.check(text) == token
        gone = await tokens.revoke(token.id, 7)
        assert gone is not None
        assert gone.revoked_at == 7
        assert await tokens.check(text) is None
        assert await tokens.revoke(token.id, 9) == gone, "it stays as it was"
        assert await tokens.revoke("0123456789ab", 9) is None
        assert await tokens.readable() == [gone]

    async def test_elsewhere_it_counts_when_the_fresh_time_is_over(
        self, client: Redis, tokens: Tokens, clock: Clock
    ) -> None:
        token, text = await tokens.create("shop", ["read"], 1)
        assert await tokens.check(text) == token
        await Tokens(client, KEYS, clock).revoke(token.id, 7)
        clock.passes(FRESH_SECONDS * 1.01)
        assert await tokens.check(text) is None

    async def test_elsewhere_a_new_one_is_known_as_soon(self, client: Redis, tokens: Tokens, clock: Clock) -> None:
        assert await tokens.check("wn_0123456789ab_secret") is None
        token, text = await Tokens(client, KEYS, clock).create("shop", ["read"], 1)
        clock.passes(FRESH_SECONDS * 1.01)
        assert await tokens.check(text) == token

    async def test_an_older_answer_that_comes_late_does_not_bring_it_back(
        self, client: Redis, tokens: Tokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was read before the revocation arrives after it."""
        token, text = await tokens.create("shop", ["read"], 1)
        clock.passes(FRESH_SECONDS * 2)
        arrived, may_go = asyncio.Event(), asyncio.Event()
        plain = client.hget
        calls = 0

        async def slow(*words: Any) -> Any:
            nonlocal calls
            calls += 1
            answer = await plain(*words)
            if calls == 1:
                arrived.set()
                await may_go.wait()
            return answer

        monkeypatch.setattr(client, "hget", slow)
        early = asyncio.ensure_future(tokens.check(text))
        await arrived.wait()
        await tokens.revoke(token.id, 7)
        late = asyncio.ensure_future(tokens.check(text))
        await asyncio.sleep(0)
        may_go.set()
        assert list(await asyncio.gather(early, late)) == [None, None]
        assert await tokens.check(text) is None

    async def test_whether_the_answer_to_a_change_came_or_not_it_is_looked_at_anew(
        self, client: Redis, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token, text = await tokens.create("shop", ["read"], 1)
        assert await tokens.check(text) == token
        plain = client.pipeline

        def lost(**how: Any) -> Any:
            pipe: Any = plain(**how)
            execute = pipe.execute

            async def done_and_lost() -> None:
                await execute()
                raise StoreUnavailable("the reply is lost")

            pipe.execute = done_and_lost
            return pipe

        monkeypatch.setattr(client, "pipeline", lost)
        with pytest.raises(StoreUnavailable):
            await tokens.revoke(token.id, 7)
        assert await tokens.check(text) is None


class TestScopes:
    @pytest.mark.parametrize("scope", SCOPES)
    def test_a_scope_may_do_its_own_and_admin_everything(self, scope: str) -> None:
        token = Token(id="a", name="n", scopes=(scope,), digest="", created_at=1)
        allowed = {"admin": list(SCOPES), "billing": ["read", "billing"]}.get(scope, [scope])
        assert [one for one in SCOPES if token.has_scope(one)] == allowed

    @given(own=st.sets(st.sampled_from(SCOPES)))
    def test_several_may_do_what_each_may(self, own: set[str]) -> None:
        token = Token(id="a", name="n", scopes=tuple(own), digest="", created_at=1)
        for scope in SCOPES:
            expected = scope in own or "admin" in own or (scope == "read" and "billing" in own)
            assert token.has_scope(scope) == expected

    def test_a_scope_of_a_newer_witnd_may_do_nothing_here(self) -> None:
        token = Token(id="a", name="n", scopes=("everything",), digest="", created_at=1)
        assert not any(token.has_scope(scope) for scope in SCOPES)

    async def test_what_a_newer_witnd_adds_to_a_token_is_passed_over(self, client: Redis, tokens: Tokens) -> None:
        token, text = await tokens.create("shop", ["read"], 1)
        record = msgspec.to_builtins(token) | {"origin": "10.0.0.0/8"}
        await client.hset(KEYS.tokens, token.id, msgspec.json.encode(record))
        assert await tokens.check(text) == token


class TestUse:
    async def test_the_first_use_is_written_and_then_once_in_a_while(
        self, client: Redis, tokens: Tokens, clock: Clock
    ) -> None:
        one, _ = await tokens.create("shop", ["read"], 1)
        other, _ = await tokens.create("shop", ["read"], 1)
        assert tokens.note_use(one, 100)
        await tokens.write_last_uses()
        assert not tokens.note_use(one, 200)
        assert tokens.note_use(other, 300), "each token for itself: it may not be used again"
        await tokens.write_last_uses()
        assert await client.hgetall(KEYS.tokens_used) == {one.id.encode(): b"200", other.id.encode(): b"300"}
        clock.passes(USED_SECONDS / 2)
        assert not tokens.note_use(one, 400)
        assert await tokens.last_uses() == {one.id: 400, other.id: 300}, "what is not written yet is known here"
        clock.passes(USED_SECONDS)
        assert tokens.note_use(one, 500)
        await tokens.write_last_uses()
        assert await client.hget(KEYS.tokens_used, one.id) == b"500"
        await tokens.write_last_uses()

    async def test_what_could_not_be_written_is_not_lost(
        self, client: Redis, tokens: Tokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token, _ = await tokens.create("shop", ["read"], 1)

        async def silent(*_: Any, **__: Any) -> int:
            raise StoreUnavailable("no answer")

        tokens.note_use(token, 100)
        with monkeypatch.context() as patched:
            patched.setattr(client, "hset", silent)
            with pytest.raises(StoreUnavailable):
                await tokens.write_last_uses()
        assert not tokens.note_use(token, 200), "not at every request"
        clock.passes(USED_SECONDS * 1.1)
        assert tokens.note_use(token, 300)
        await tokens.write_last_uses()
        assert await client.hget(KEYS.tokens_used, token.id) == b"300"


@pytest.mark.parametrize(
    ("name", "scopes", "rate", "paths"),
    [
        ("shop", ["read"], None, []),
        ("shop", list(SCOPES), 0.5, []),
        ("Ops – Köln", ["admin"], 1_000_000, []),
        ("", [], 0, ["name", "scopes", "rate"]),
        ("  ", ["read"], -1, ["name", "rate"]),
        ("x" * 101, ["read", "read", "root"], float("nan"), ["name", "scopes[1]", "scopes[2]", "rate"]),
        ("a\x1b[2J", ["READ"], float("inf"), ["name", "scopes[0]", "rate"]),
    ],
)
def test_what_is_wrong_with_a_wish_is_told_with_its_paths(
    name: str, scopes: list[str], rate: float | None, paths: list[str]
) -> None:
    assert [one.path for one in mistakes(name, scopes, rate)] == paths
