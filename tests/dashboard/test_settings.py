"""Settings at the dashboard: all there are, nothing secret, and how the server stands."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.dashboard.client import Dashboard, words
from tests.support.deployment import Deployment
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.recorded_run import recorded_run
from witnd import __version__
from witnd.config import Config, RedisConfig, WebhooksConfig
from witnd.domain.outcomes.partitioning import partition_of
from witnd.endpoint import endpoint
from witnd.settings import READERS
from witnd.store.errors import StoreRefused
from witnd.web.dashboard.pages.settings import MEANINGS, settings

PATH = "/dashboard/settings"


def values(admin: Dashboard) -> dict[str, str]:
    rows = [row for row in admin.get(PATH).rows("settings") if len(row) == 2]
    return {name.split()[0]: value for name, value in rows}


def test_every_setting_has_words() -> None:
    assert {section: list(known) for section, known in MEANINGS.items()} == {
        section: list(readers) for section, readers in READERS.items()
    }


def test_every_setting_is_shown_with_its_value_and_unit(admin: Dashboard) -> None:
    found = values(admin)
    assert found.keys() == {name for readers in READERS.values() for name in readers}
    assert found["max_lag"].startswith("1,000,000 ")
    assert found["grace"].startswith("1 ")
    assert re.findall(r"\d+", found["schedule"])[:4] == ["5", "5", "30", "2"]
    assert found["instance"] == "office"
    assert found["bind"] == "127.0.0.1:0"


def test_what_was_chosen_is_told_from_what_is_the_default(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    with api_server(session_server, tmp_path, partitions=2, allow_networks=networks, max_lag=0) as api:
        found = values(Dashboard(api))
        assert found["allow_networks"] == "10.0.0.0/8, fd00::/8"
        assert found["partitions"] == "2"
        assert not re.search(r"\d", found["max_lag"]), "no limit"


def test_the_daemon_and_its_server_say_how_they_are(admin: Dashboard, reader: Dashboard, api: ApiServer) -> None:
    page = reader.get(PATH)
    assert page.status == 200
    assert __version__ in page.text_of("daemon")
    redis = page.text_of("redis")
    assert re.search(r"(Valkey|Redis) \d+\.\d+", redis)
    assert page.state("safety") == "healthy"
    assert page.state("standing") == "healthy"
    assert {"/docs", "/metrics", "/openapi.json"} <= page.hrefs
    for path in ("/docs", "/metrics", "/openapi.json"):
        assert api.ask("GET", path, scope=None).status == 200


def test_what_is_stored_is_counted_by_partition(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    keys = [f"ticket-{number}" for number in range(7)]

    def events(deployment: Deployment) -> None:
        for key in keys:
            deployment.event(key, "replied")

    with recorded_run(session_server, tmp_path, events, partitions=3) as api:
        rows = Dashboard(api).get(PATH).rows("streams")
        assert [row[0] for row in rows] == ["0", "1", "2"]
        resolved = [sum(partition_of(key, 3) == number for key in keys) for number in range(3)]
        assert [row[2:] for row in rows] == [[str(many), str(many)] for many in resolved]
        owners = Dashboard(api).get(PATH).rows("owners-table")
        assert owners == [[str(number), "office", "0", "–"] for number in range(3)]
        whole = Dashboard(api).get(PATH).find("//tfoot/tr")
        assert [words(cell) for cell in whole][2:] == ["7", "7"]


def test_a_server_that_is_not_safe_says_so_and_what_to_do(server: Callable[..., Server], tmp_path: Path) -> None:
    own = server()
    with api_server(own, tmp_path) as api:
        api.deployment.call("CONFIG", "SET", "no-appendfsync-on-rewrite", "yes")
        page = Dashboard(api).get(PATH)
        assert page.state("safety") == "parked", "with a risk"
        assert "no-appendfsync-on-rewrite no" in page.text_of("redis")
        api.deployment.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        page = Dashboard(api).get(PATH)
        assert page.state("safety") == "dead", "no"
        assert len(page.document.xpath("//*[@id='redis']//div[contains(@class, 'notice bad')]")) == 1


def test_no_password_is_shown_nor_where_one_is_kept() -> None:
    url = "redis://witnd:hunter2@example.com:6380/1"
    server = endpoint(url)

    class Given:
        config = Config(redis=RedisConfig(url=url))

    Given.server = server  # type: ignore[attr-defined]
    shown = {one.name: one.value for one in settings(Given)["redis"]}  # type: ignore[arg-type]
    assert shown["url"] == "redis://example.com:6380/1"
    hidden = shown["password_file"]
    assert hidden
    Given.config = Config(redis=RedisConfig(password_file="/etc/witnd/redis-password"))
    shown = {one.name: one.value for one in settings(Given)["redis"]}  # type: ignore[arg-type]
    assert shown["password_file"] not in (hidden, "/etc/witnd/redis-password")
    assert "hunter2" not in str(shown)


@pytest.mark.parametrize("seconds", [(0.5, 90000.0)])
def test_spans_are_said_in_their_units(seconds: tuple[float, ...]) -> None:
    class Given:
        config = Config(webhooks=WebhooksConfig(schedule=seconds))
        server = endpoint("redis://h")

    [schedule] = [one for one in settings(Given)["webhooks"] if one.name == "schedule"]  # type: ignore[arg-type]
    assert (re.findall(r"\d+", schedule.value), schedule.default) == (["500", "1", "1"], False)


def test_settings_are_changed_in_their_file_which_is_named(admin: Dashboard) -> None:
    page = admin.get(PATH)
    assert "witnd check /etc/witnd/witnd.toml" in page.text_of("change")
    assert not [form for form in page.document.forms if not form.action.endswith("/sign-out")]


def test_a_server_that_tells_nothing_hides_no_setting(admin: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    async def loading(*_: object) -> None:
        raise StoreRefused("Redis is still loading its data", "wait until it has finished")

    monkeypatch.setattr("witnd.app.status.safety.read_health", loading)
    page = admin.get(PATH)
    assert (page.status, len(page.rows("settings")) > 20) == (200, True)
    assert page.case("redis") == "unknown"
