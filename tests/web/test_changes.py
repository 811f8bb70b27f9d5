"""The log of changes over HTTP."""

import pytest
from redis.asyncio import Redis

from tests.web.api_server import ApiServer
from tests.web.invoices import on_server
from witnd.domain.values import instant
from witnd.store.access.change_log import Change, Changes
from witnd.store.keys import GlobalKeys


def noted(api: ApiServer, count: int) -> None:
    async def write(client: Redis) -> None:
        changes = Changes(client, GlobalKeys("witn"))
        for n in range(count):
            await changes.note(
                Change(
                    who="token ops",
                    what="rule.update",
                    key=f"rule {n}",
                    request_id="ab",
                    before={"n": n, "secret": "x"},
                )
            )

    on_server(api, write)


def test_the_newest_change_comes_first_page_after_page(api: ApiServer) -> None:
    noted(api, 7)
    for limit in (1, 3, 7, 100):
        found = api.pages(f"/v1/changes?limit={limit}")
        assert [one["key"] for one in found] == [f"rule {n}" for n in reversed(range(7))]
    first = found[0]
    assert first == {
        "id": first["id"], "at": instant.render(int(first["id"].split("-")[0])), "who": "token ops",
        "source": "api", "token_id": None,
        "what": "rule.update", "key": "rule 6", "request_id": "ab", "before": {"n": 6, "secret": "(hidden)"},
        "after": None,
    }  # fmt: skip


def test_what_comes_meanwhile_changes_no_page_behind_the_cursor(api: ApiServer) -> None:
    noted(api, 3)
    page = api.get("/v1/changes?limit=2")
    noted(api, 2)
    rest = api.get(f"/v1/changes?after={page['next_cursor']}")
    assert ([one["key"] for one in rest["data"]], rest["next_cursor"]) == (["rule 0"], None)


def test_without_changes_the_list_is_empty(api: ApiServer) -> None:
    assert api.get("/v1/changes") == {"data": [], "next_cursor": None}
    assert api.get("/v1/changes?after=1-1") == {"data": [], "next_cursor": None}
    assert api.get("/v1/changes?after=0-1") == {"data": [], "next_cursor": None}


@pytest.mark.parametrize(
    "after", ["x", "1", "0-0", "00-000", "-", "(1-1", "1-1-1", "9" * 30 + "-1", "1-" + "9" * 30, "%2B"]
)
def test_a_cursor_that_is_none_is_refused(api: ApiServer, after: str) -> None:
    answer = api.ask("GET", f"/v1/changes?after={after}")
    assert (answer.status, answer.error["details"][0]["path"]) == (400, "after")
