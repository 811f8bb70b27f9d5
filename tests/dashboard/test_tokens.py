"""API tokens at the dashboard: made, shown once, revoked."""

from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page
from tests.support.processes import until
from tests.web.api_server import ApiServer
from tests.web.catalogue import changes, made

LIST, NEW = "/dashboard/tokens", "/dashboard/tokens/new"
HOSTILE = '<script>alert(1)</script> "shop\'s" é'


def create(admin: Dashboard, **fields: Any) -> Page:
    return admin.submit(admin.get(NEW), **({"name": "shop", "scopes": ["ingest"]} | fields))


def shown(page: Page) -> str:
    return str(page.find("//*[@id='made']//pre").text_content())


def named(api: ApiServer, name: str, *, path: str = "/v1/tokens?archived=true") -> Any:
    [found] = [one for one in api.pages(path) if one["name"] == name]
    return found


def test_a_token_is_shown_exactly_once_and_works(admin: Dashboard, api: ApiServer) -> None:
    page = create(admin, scopes=["read", "ingest"], rate="12.5")
    assert page.status == 200
    text = shown(page)
    assert page.find("//*[@id='made']//button").get("data-copy") == text
    assert api.ask("GET", "/v1/invoices", token=text).status == 200
    token = named(api, "shop")
    assert (token["scopes"], token["rate"]) == (["read", "ingest"], 12.5)
    secret = text.split("_", 2)[2]
    for path in (LIST, f"{LIST}/{token['id']}", "/dashboard/changes"):
        assert secret not in admin.get(path).source
    assert (changes(api)[-1]["who"], changes(api)[-1]["what"]) == ("token admin", "token.create")


def test_a_form_that_is_sent_twice_makes_one_token(admin: Dashboard, api: ApiServer) -> None:
    """What a browser does with a double click, or where the page with the token is loaded again."""
    form = admin.get("/dashboard/tokens/new")
    assert admin.submit(form, name="shop", scopes=["ingest"]).status == 200
    again = admin.submit(form, name="shop", scopes=["ingest"])
    assert again.status == 409
    assert again.is_refused
    assert len(api.get("/v1/tokens")["data"]) == 4
    assert admin.submit(again).status == 200
    assert len(api.get("/v1/tokens")["data"]) == 5


def test_tokens_are_listed_and_revoked_ones_on_request(admin: Dashboard, api: ApiServer) -> None:
    create(admin, rate="50")
    page = admin.get(LIST)
    rows = {row[0].partition(" ")[0]: row for row in page.rows("tokens")}
    assert set(rows) == {"ingest", "read", "admin", "shop"}
    states = dict(zip([row[0].split()[0] for row in page.rows("tokens")], page.states("tokens"), strict=True))
    assert states == {"ingest": [], "read": [], "admin": ["you"], "shop": []}
    assert rows["shop"][1:4] == [named(api, "shop")["id"], "ingest", "50"]
    used = {row.xpath("string(.//a)"): bool(row.xpath("./td[last()]/time")) for row in page.items("tokens")}
    assert used == {"ingest": False, "read": False, "admin": True, "shop": False}
    api.ask("DELETE", f"/v1/tokens/{named(api, 'shop')['id']}")
    page = admin.get(LIST)
    assert "shop" not in page.links()
    assert f"{LIST}?archived=yes" in page.hrefs
    page = admin.get(f"{LIST}?archived=yes")
    states = dict(zip([row[0].split()[0] for row in page.rows("tokens")], page.states("tokens"), strict=True))
    assert states["shop"] == ["revoked"]


def test_the_list_has_pages(admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.tokens.LIMIT", 2)
    for number in range(3):
        made(api, "/v1/tokens", {"name": f"shop{number}", "scopes": ["read"]})
    page, seen = admin.get(LIST), []
    while True:
        seen += [row[1] for row in page.rows("tokens")]
        if "next" not in page.pages:
            break
        page = admin.get(page.pages["next"])
    assert seen == [one["id"] for one in api.pages("/v1/tokens")]
    assert page.pages["first"] == LIST


def test_mistakes_stand_at_their_fields_and_everything_typed_is_kept(admin: Dashboard, api: ApiServer) -> None:
    page = create(admin, name=" ", scopes=None, rate="fast")
    assert page.status == 400
    assert page.invalid == ["name", None, "rate"], "the group of the scopes has no name"
    page = create(admin, name=HOSTILE, scopes=["read", "admin"], rate="-1")
    assert page.status == 400
    assert page.invalid == ["rate"]
    assert page.find("//input[@name='name']").get("value") == HOSTILE
    assert page.find("//input[@name='rate']").get("value") == "-1"
    assert page.document.xpath("//input[@name='scopes'][@checked]/@value") == ["read", "admin"]
    for rate in ("nan", "inf", "1e99"):
        assert create(admin, rate=rate).status == 400
    assert create(admin, scopes=["root"]).status == 400
    assert len(api.pages("/v1/tokens")) == 3


def test_a_name_is_text_wherever_it_stands(admin: Dashboard, api: ApiServer) -> None:
    page = create(admin, name=HOSTILE)
    assert HOSTILE in page.find("//h1").text_content()
    for path in (LIST, f"{LIST}/{named(api, HOSTILE)['id']}", "/dashboard/changes"):
        page = admin.get(path)
        assert HOSTILE in page.text
        assert not page.document.xpath("//script[not(@src)]")


def test_a_token_is_revoked_after_a_tick(admin: Dashboard, api: ApiServer) -> None:
    text = shown(create(admin, scopes=["read"]))
    path = f"{LIST}/{named(api, 'shop')['id']}"
    page = admin.get(path)
    assert not page.document.xpath("//*[@name='own']")
    refused = admin.submit(page, f"{path}/revoke", confirmed=None)
    assert refused.status == 400
    assert api.ask("GET", "/v1/invoices", token=text).status == 200
    page = admin.submit(page, f"{path}/revoke", confirmed="yes")
    assert "shop" in page.message
    assert api.ask("GET", "/v1/invoices", token=text).status == 401
    assert (changes(api)[-1]["who"], changes(api)[-1]["what"]) == ("token admin", "token.revoke")
    page = admin.get(path)
    assert page.find("//*[@class='head']//@data-state") == "revoked"
    assert f"{path}/revoke" not in [form.action for form in page.document.forms]


def test_ones_own_token_is_revoked_only_where_that_is_meant_and_signs_out(admin: Dashboard, api: ApiServer) -> None:
    path = f"{LIST}/{named(api, 'admin')['id']}"
    page = admin.get(path)
    assert page.find("//*[@class='head']//@data-state") == "you"
    assert page.cases == ["last-admin"]
    other = create(admin, name="other", scopes=["admin"])
    page = admin.get(path)
    assert page.cases == []
    refused = admin.submit(page, f"{path}/revoke", confirmed="yes", own=None)
    assert refused.status == 409
    assert refused.is_refused
    assert admin.get(LIST).status == 200
    page = admin.submit(page, f"{path}/revoke", confirmed="yes", own="yes")
    assert page.path == "/dashboard/sign-in"
    assert admin.get(LIST).path.startswith("/dashboard/sign-in")
    assert api.ask("GET", "/v1/tokens").status == 401
    assert api.ask("GET", "/v1/tokens", token=shown(other)).status == 200
    assert not api.deployment.call("KEYS", "witn:{shared}:session:*")


def test_only_admins_see_tokens(reader: Dashboard, api: ApiServer) -> None:
    page = reader.get("/dashboard")
    assert LIST not in page.links().values()
    id_ = named(api, "ingest")["id"]
    for path in (LIST, NEW, f"{LIST}/{id_}"):
        assert reader.get(path).status == 403
        assert id_ not in reader.get(path).source.replace(path, "")
    key = page.find("//input[@name='form_key']").get("value")
    assert reader.send(NEW, {"form_key": key, "name": "x", "scopes": "admin"}).status == 403
    assert reader.send(f"{LIST}/{id_}/revoke", {"form_key": key, "confirmed": "yes"}).status == 403
    assert len(api.pages("/v1/tokens")) == 3


def test_one_that_is_not_there_is_not_found(admin: Dashboard) -> None:
    assert admin.get(f"{LIST}/0123456789ab").status == 404
    assert admin.get(f"{LIST}?after=nothing").status == 400


def test_the_token_is_copied_with_a_button(tab: Tab, api: ApiServer) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.open(NEW)
    tab.field("name").fill("shop")
    tab.page.locator("[name=scopes][value=ingest]").check()
    tab.page.locator("main form button.primary").click()
    text = tab.page.locator("#made pre").inner_text()
    button = tab.page.locator("#made [data-copy]")
    label = button.inner_text()
    button.click()
    until(lambda: button.inner_text() != label, "the button says that it is copied")
    assert tab.page.evaluate("navigator.clipboard.readText()") == text
    event = {"key": "ticket-1", "customer_key": "acme", "action": "x"}
    assert api.ask("POST", "/v1/events", event, token=text).status == 202


def test_a_form_is_not_sent_twice_by_a_double_click(tab: Tab) -> None:
    tab.open(NEW)
    click = """form => {
        const event = new SubmitEvent("submit", { bubbles: true, cancelable: true });
        form.dispatchEvent(event);
        return event.defaultPrevented;
    }"""
    form = tab.page.locator("main form")
    assert [form.evaluate(click) for _ in range(3)] == [False, True, True]
    other = tab.page.locator("form[action$='/sign-out']")
    assert other.evaluate(click) is False
