"""Telling open pages that something changed: over sockets, in the loop, and in a browser whose tabs come and go."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from witnd.app import pulse as live
from witnd.app.pulse import Pulse
from witnd.store.errors import StoreUnavailable

CHANGED = "event: changed"
BEAT = ": still here"


class Stream:
    """A connection to the stream. `line` waits for the next line that is not empty; None at the end of the stream."""

    def __init__(self, admin: Dashboard, seconds: float = 10) -> None:
        cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
        self._connection = http.client.HTTPConnection(*admin.api.address, timeout=seconds)
        self._connection.request("GET", "/dashboard/live", headers={"Cookie": cookie})
        self.answer = self._connection.getresponse()

    def line(self) -> str | None:
        while True:
            line = self.answer.readline().decode()
            if not line:
                return None
            if line.strip() not in ("", "data:"):
                return line.strip()

    def news(self) -> str | None:
        """The next line that says more than that nothing happened."""
        while (line := self.line()) == BEAT:
            pass
        return line

    def quiet(self) -> None:
        """Wait until nothing is told for two looks, where beats come quickly."""
        beats = 0
        while beats * live.BEAT_SECONDS < 2.5 * live.LOOK_SECONDS:
            beats = beats + 1 if self.line() == BEAT else 0

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


@contextmanager
def streams(admin: Dashboard, many: int = 1) -> Iterator[list[Stream]]:
    """Streams whose beginning is read."""
    with ExitStack() as stack:
        opened = []
        for _ in range(many):
            one = Stream(admin)
            stack.callback(one.close)
            assert [one.line(), one.line()] == ["retry: 2000", CHANGED]
            opened.append(one)
        yield opened


@pytest.fixture
def beating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT_SECONDS", 0.1)


def event(api: ApiServer, key: str = "ticket-4711") -> None:
    body = {"key": key, "customer_key": "nobody", "action": "ticket_opened"}
    assert api.ask("POST", "/v1/events", body, scope="ingest").status == 202


@pytest.mark.usefixtures("beating")
def test_a_stream_begins_with_a_change_and_tells_of_each_that_follows(admin: Dashboard, api: ApiServer) -> None:
    with streams(admin, 3) as opened:
        assert opened[0].answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert opened[0].answer.headers["Cache-Control"] == "no-store"
        assert opened[0].answer.headers["X-Accel-Buffering"] == "no"
        for one in opened:
            one.quiet()
        for number in range(3):
            began = time.monotonic()
            event(api, f"ticket-{number:04}")
            assert [one.news() for one in opened] == [CHANGED] * 3
            assert time.monotonic() - began < 2


def test_nobody_listens_without_being_signed_in(api: ApiServer) -> None:
    stream = Stream(Dashboard(api, None))
    assert stream.answer.status == 303
    stream.close()
    with streams(Dashboard(api, "read")):
        pass


def test_pages_that_are_open_share_one_look_and_nobody_looks_for_nobody(admin: Dashboard, api: ApiServer) -> None:
    def looks() -> int:
        return int(api.deployment.call("INFO", "commandstats")["cmdstat_xrevrange"]["calls"])

    with streams(admin, 20):
        before, began = looks(), time.monotonic()
        until(lambda: looks() >= before + 3, "it is looked again and again")
        assert looks() - before <= (time.monotonic() - began) / live.LOOK_SECONDS + 2


def test_a_daemon_that_stops_waits_for_no_page_that_is_open(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        with api_server(session_server, tmp_path) as api:
            [*opened] = stack.enter_context(streams(Dashboard(api), 10))
            began = time.monotonic()
        assert time.monotonic() - began < 3
        for one in opened:
            assert set(iter(one.line, None)) <= {CHANGED}, "it ends as it should"


def test_more_pages_than_there_are_places_for_are_told_to_come_later(
    admin: Dashboard, beating: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LISTENERS_MOST", 3)
    with streams(admin, 3) as opened:
        refused = Stream(admin)
        assert refused.answer.status == 503
        assert refused.answer.headers["Retry-After"] == "30"
        refused.close()
        opened[0].close()
        until(lambda: _status(admin) == 200, "its place is free again")


def _status(admin: Dashboard) -> int:
    stream = Stream(admin)
    stream.close()
    return stream.answer.status


@pytest.mark.usefixtures("beating")
def test_a_stream_that_nothing_happens_on_is_heard_of_all_the_same(admin: Dashboard) -> None:
    with streams(admin) as [stream]:
        stream.quiet()
        assert [stream.line() for _ in range(3)] == [BEAT] * 3


@pytest.mark.usefixtures("beating")
def test_a_stream_lives_on_while_redis_is_away(server: Callable[..., Server], tmp_path: Path) -> None:
    own = server(fsync="always")
    with api_server(own, tmp_path) as api, streams(Dashboard(api)) as [stream]:
        stream.quiet()
        own.stop()
        assert stream.news() == CHANGED, "that it is away is seen"
        own.start()
        assert stream.news() == CHANGED, "that it is back is seen"


# -- without sockets --------------------------------------------------------------------------------------------------


@pytest.fixture
async def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(live, "BEAT_SECONDS", 5.0)


class World:
    """What a pulse looks at."""

    def __init__(self) -> None:
        self.state = b"0"
        self.looks = 0
        self.away = False

    async def look(self) -> bytes:
        self.looks += 1
        if self.away:
            raise StoreUnavailable("gone")
        return self.state


@pytest.fixture
async def world() -> World:
    return World()


@pytest.fixture
async def pulse(world: World, quick: None) -> AsyncIterator[Pulse]:
    made = Pulse(world.look)
    running = asyncio.ensure_future(made.run())
    yield made
    running.cancel()


async def told(events: Any) -> str:
    async with asyncio.timeout(2):
        text: str = await anext(events)
        return text.split("\n")[0]


async def begun(pulse: Pulse) -> Any:
    events = pulse.events()
    assert [await told(events), await told(events)] == ["retry: 2000", CHANGED]
    return events


async def test_nothing_is_looked_at_while_nobody_listens(pulse: Pulse, world: World) -> None:
    await asyncio.sleep(0.02)
    assert world.looks == 0
    events = await begun(pulse)
    while world.looks < 3:
        await asyncio.sleep(0.001)
    await events.aclose()
    await asyncio.sleep(0.01)
    seen = world.looks
    await asyncio.sleep(0.02)
    assert world.looks == seen


async def test_who_is_slow_hears_once_of_all_that_happened_meanwhile(pulse: Pulse, world: World) -> None:
    async with aclosing(await begun(pulse)) as events:
        while world.looks < 2:
            await asyncio.sleep(0.001)
        await told(events)  # the first look, beside which there was nothing known
        for number in range(5):
            world.state = b"%d" % (number + 1)
            seen = world.looks
            while world.looks < seen + 2:
                await asyncio.sleep(0.001)
        assert await told(events) == CHANGED
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await anext(events)


async def test_a_store_that_is_away_and_back_is_a_change(pulse: Pulse, world: World) -> None:
    async with aclosing(await begun(pulse)) as events:
        await told(events)
        world.away = True
        assert await told(events) == CHANGED
        world.away = False
        assert await told(events) == CHANGED


async def test_all_streams_end_when_the_pulse_is_closed(pulse: Pulse) -> None:
    several = [await begun(pulse) for _ in range(3)]
    pulse.close()
    for events in several:
        assert [part async for part in events] == []
    assert not pulse.full


# -- in a browser -----------------------------------------------------------------------------------------------------


def hide(tab: Tab, hidden: bool) -> None:
    tab.page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def listeners(api: ApiServer) -> int:
    """How many streams there are, by what only one who may listen is told."""
    return int(api.deployment.call("INFO", "commandstats").get("cmdstat_xrevrange", {}).get("calls", 0))


def test_a_tab_that_nobody_sees_keeps_no_connection_and_is_up_to_date_when_it_is_seen_again(
    tab: Tab, api: ApiServer
) -> None:
    """Six streams would be all the connections that a browser has to a server."""
    with tab.page.expect_request("**/dashboard/live"):
        tab.open("/dashboard/outcomes")
    with tab.page.expect_event("requestfailed", lambda request: request.url.endswith("/dashboard/live")):
        hide(tab, True)
    before = listeners(api)
    event(api)
    time.sleep(3 * live.LOOK_SECONDS)
    assert listeners(api) - before <= 1, "nobody listens"
    with tab.page.expect_request("**/dashboard/live"):
        hide(tab, False)


def test_a_page_listens_again_after_an_answer_that_was_no_stream(tab: Tab, api: ApiServer) -> None:
    tab.page.clock.install()
    tab.page.route("**/dashboard/live", lambda route: route.fulfill(status=503, body="later"))
    with tab.page.expect_response("**/dashboard/live"):
        tab.open("/dashboard")
    tab.page.unroute("**/dashboard/live")
    with tab.page.expect_response(lambda answer: answer.url.endswith("/dashboard/live") and answer.status == 200):
        tab.page.clock.run_for(6000)
        tab.page.clock.resume()


def test_jumping_within_a_page_loads_nothing(tab: Tab) -> None:
    tab.open("/dashboard")
    tab.page.evaluate("window.kept = true")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.page.url.endswith("#content")
    assert tab.page.evaluate("document.activeElement.id") == "content"
    tab.page.go_back()
    assert tab.page.evaluate("window.kept") is True


def test_a_search_changes_the_address_and_going_back_undoes_it(tab: Tab) -> None:
    tab.open("/dashboard/outcomes")
    tab.field("search").fill("ticket-1")
    tab.page.locator("#search").click()
    tab.page.locator("[data-case=no-match]").wait_for()
    assert tab.page.url.endswith("/dashboard/outcomes?search=ticket-1")
    tab.page.go_back()
    tab.page.locator("[data-case=none-yet]").wait_for()
    assert tab.field("search").input_value() == ""
