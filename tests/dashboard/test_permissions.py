"""Who may see which page and do what: a table of all there are, so that no new one is forgotten."""

from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import pytest

from tests.dashboard.client import FORM, Dashboard
from tests.web.api_server import Answer, ApiServer
from witnd.web.routes import PAGES

Who = Literal["anybody", "reader", "admin"]

# Who may: anybody without signing in, whoever is signed in, or admins alone.
GETS: Final[dict[str, Who]] = {
    "/": "anybody",
    "/dashboard/": "anybody",
    "/dashboard/sign-in": "anybody",
    "/dashboard/static/{name}": "anybody",
    "/dashboard": "reader",
    "/dashboard/agents": "reader",
    "/dashboard/agents/new": "admin",
    "/dashboard/agents/{key}": "reader",
    "/dashboard/agents/{key}/edit": "admin",
    "/dashboard/changes": "admin",
    "/dashboard/credit-notes": "reader",
    "/dashboard/credit-notes/export": "reader",
    "/dashboard/credit-notes/{id}": "reader",
    "/dashboard/credit-notes/{id}/export": "reader",
    "/dashboard/credit-notes/{id}/print": "reader",
    "/dashboard/customers": "reader",
    "/dashboard/customers/new": "admin",
    "/dashboard/customers/{key}": "reader",
    "/dashboard/customers/{key}/edit": "admin",
    "/dashboard/customers/{key}/prices": "reader",
    "/dashboard/customers/{key}/fees": "admin",
    "/dashboard/rate-cards/{key}/fees": "admin",
    "/dashboard/customers/{key}/terms": "reader",
    "/dashboard/customers/{key}/terms/{agent}": "admin",
    "/dashboard/customers/{key}/refund": "admin",
    "/dashboard/customers/{key}/line": "admin",
    "/dashboard/deliveries": "reader",
    "/dashboard/deliveries/resend": "admin",
    "/dashboard/deliveries/{id}": "reader",
    "/dashboard/events": "reader",
    "/dashboard/events/{partition}/{id}": "reader",
    "/dashboard/invoices": "reader",
    "/dashboard/invoices/ageing": "reader",
    "/dashboard/invoices/export": "reader",
    "/dashboard/invoices/{id}": "reader",
    "/dashboard/invoices/{id}/credit": "admin",
    "/dashboard/invoices/{id}/credit-lines": "admin",
    "/dashboard/invoices/{id}/export": "reader",
    "/dashboard/invoices/{id}/print": "reader",
    "/dashboard/invoices/{id}/tax": "admin",
    "/dashboard/live": "reader",
    "/dashboard/notifications": "reader",
    "/dashboard/notifications/new": "admin",
    "/dashboard/notifications/{name}": "reader",
    "/dashboard/notifications/{name}/edit": "admin",
    "/dashboard/outcomes": "reader",
    "/dashboard/outcomes/{key}": "reader",
    "/dashboard/problems": "reader",
    "/dashboard/rate-cards": "reader",
    "/dashboard/rate-cards/new": "admin",
    "/dashboard/rate-cards/{key}": "reader",
    "/dashboard/rate-cards/{key}/edit": "admin",
    "/dashboard/seller": "reader",
    "/dashboard/seller/edit": "admin",
    "/dashboard/seller/logo": "reader",
    "/dashboard/settings": "reader",
    "/dashboard/taxes": "reader",
    "/dashboard/taxes/new": "admin",
    "/dashboard/taxes/{key}": "reader",
    "/dashboard/taxes/{key}/edit": "admin",
    "/dashboard/tokens": "admin",
    "/dashboard/tokens/new": "admin",
    "/dashboard/tokens/{id}": "admin",
}
POSTS: Final[dict[str, Who]] = {
    "/dashboard/sign-in": "anybody",
    "/dashboard/sign-out": "reader",
    "/dashboard/agents/new": "admin",
    "/dashboard/agents/{key}/archive": "admin",
    "/dashboard/agents/{key}/edit": "admin",
    "/dashboard/agents/{key}/restore": "admin",
    "/dashboard/customers/new": "admin",
    "/dashboard/customers/{key}/archive": "admin",
    "/dashboard/customers/{key}/edit": "admin",
    "/dashboard/customers/{key}/prices": "admin",
    "/dashboard/customers/{key}/refund": "admin",
    "/dashboard/customers/{key}/line": "admin",
    "/dashboard/customers/{key}/fees": "admin",
    "/dashboard/rate-cards/{key}/fees": "admin",
    "/dashboard/customers/{key}/restore": "admin",
    "/dashboard/customers/{key}/terms/{agent}": "admin",
    "/dashboard/customers/{key}/terms/{agent}/remove": "admin",
    "/dashboard/deliveries/resend": "admin",
    "/dashboard/deliveries/{id}/resend": "admin",
    "/dashboard/invoices/bulk/issue": "admin",
    "/dashboard/invoices/bulk/pay": "admin",
    "/dashboard/invoices/{id}/credit": "admin",
    "/dashboard/invoices/{id}/credit-lines": "admin",
    "/dashboard/invoices/{id}/issue": "admin",
    "/dashboard/invoices/{id}/lines": "admin",
    "/dashboard/invoices/{id}/lines/{line}/remove": "admin",
    "/dashboard/invoices/{id}/tax": "admin",
    "/dashboard/invoices/{id}/payments": "admin",
    "/dashboard/invoices/{id}/payments/{payment}/reverse": "admin",
    "/dashboard/invoices/{id}/revise": "admin",
    "/dashboard/invoices/{id}/void": "admin",
    "/dashboard/notifications/new": "admin",
    "/dashboard/notifications/{name}/archive": "admin",
    "/dashboard/notifications/{name}/disable": "admin",
    "/dashboard/notifications/{name}/edit": "admin",
    "/dashboard/notifications/{name}/enable": "admin",
    "/dashboard/notifications/{name}/restore": "admin",
    "/dashboard/notifications/{name}/resume": "admin",
    "/dashboard/notifications/{name}/rotate": "admin",
    "/dashboard/notifications/{name}/test": "admin",
    "/dashboard/outcomes/{key}/retry": "admin",
    "/dashboard/events/{partition}/{id}/remove": "admin",
    "/dashboard/problems/retry-held": "admin",
    "/dashboard/rate-cards/new": "admin",
    "/dashboard/rate-cards/{key}/archive": "admin",
    "/dashboard/rate-cards/{key}/edit": "admin",
    "/dashboard/rate-cards/{key}/restore": "admin",
    "/dashboard/seller/archive": "admin",
    "/dashboard/seller/edit": "admin",
    "/dashboard/seller/restore": "admin",
    "/dashboard/taxes/new": "admin",
    "/dashboard/taxes/{key}/archive": "admin",
    "/dashboard/taxes/{key}/edit": "admin",
    "/dashboard/taxes/{key}/restore": "admin",
    "/dashboard/tokens/new": "admin",
    "/dashboard/tokens/{id}/revoke": "admin",
}
# What changes while nobody asks for anything: leases, heartbeats, and when tokens were used.
_BY_ITSELF = ("owner", "lease", "used", "daemons")
# The first part of a path with a name in it → something that is there.
_THERE = {"agents": "support", "customers": "acme", "rate-cards": "standard", "notifications": "crm"}


def test_every_page_is_in_the_table() -> None:
    assert {one.path for one in PAGES if one.method == "GET"} == GETS.keys()
    assert {one.path for one in PAGES if one.method == "POST"} == POSTS.keys()
    assert {one.method for one in PAGES} == {"GET", "POST"}


def test_pages_are_for_those_in_the_table(api: ApiServer, admin: Dashboard, reader: Dashboard) -> None:
    before = kept(api)
    for path, who in GETS.items():
        if path == "/dashboard/live":
            continue  # has no end
        asked = filled(path)
        nobody = ask(api, asked)
        if who == "anybody":
            assert nobody.status in (200, 303, 401, 404), path  # not to where one signs in
            assert "sign-in" not in nobody.headers.get("location", ""), path
            continue
        assert (nobody.status, nobody.headers["location"]) == (303, f"/dashboard/sign-in?next={quote(asked, safe='')}")
        assert not nobody.body, path
        assert (ask(api, asked, reader).status == 403) is (who == "admin"), path
        assert ask(api, asked, admin).status in (200, 303, 400, 404), path
    assert ask(api, "/dashboard/live").status == 303
    assert kept(api) == before, "something was changed by looking at it"


def test_what_forms_do_is_for_those_in_the_table(api: ApiServer, admin: Dashboard, reader: Dashboard) -> None:
    before = kept(api)
    for path, who in POSTS.items():
        if who == "anybody":
            continue
        asked = filled(path)
        nobody = ask(api, asked, form={"form_key": "x", "confirmed": "yes"})
        assert (nobody.status, nobody.headers["location"]) == (303, "/dashboard/sign-in?next=%2Fdashboard"), path
        for somebody, other in ((admin, reader), (reader, admin)):
            for key in ({}, {"form_key": ""}, {"form_key": form_key(other)}):
                assert ask(api, asked, somebody, form={**key, "confirmed": "yes"}).status == 403, path
            mine = {"form_key": form_key(somebody), "confirmed": "yes"}
            for site in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}):
                assert ask(api, asked, somebody, form=mine, headers=site).status == 403, path
        if who == "admin":
            assert ask(api, asked, reader, form={"form_key": form_key(reader), "confirmed": "yes"}).status == 403, path
        assert ask(api, asked, admin).status == 405 or path in GETS, path
    assert kept(api) == before, "something was changed by what was refused"


@pytest.mark.parametrize("scope", ["ingest", "read", "admin"])
def test_a_token_itself_opens_no_page(api: ApiServer, scope: str) -> None:
    for path in ("/dashboard", "/dashboard/tokens", "/dashboard/invoices/export"):
        answer = api.ask("GET", path, scope=scope)
        assert (answer.status, answer.body) == (303, b""), path


def test_a_session_is_no_token(api: ApiServer, admin: Dashboard) -> None:
    for path in ("/v1/customers", "/v1/tokens", "/v1/invoices?format=csv"):
        assert ask(api, path, admin).status == 401


def test_no_page_shows_a_secret_again(api: ApiServer, admin: Dashboard) -> None:
    secret = "whsec_" + "c2VjcmV0" * 5
    rule = {"name": "erp", "source": "both", "url": "http://127.0.0.1:9/hook", "secret": secret}
    assert api.ask("POST", "/v1/notification-rules", rule).status == 201
    for path in ("/dashboard/notifications", "/dashboard/notifications/erp", "/dashboard/notifications/erp/edit",
                 "/dashboard/notifications/erp?from=1&to=1", "/dashboard/changes", "/dashboard/tokens"):  # fmt: skip
        shown = ask(api, path, admin)
        assert shown.status == 200, path
        assert secret[6:] not in shown.body.decode(), path
        assert not [text for text in api.tokens.values() if text in shown.body.decode()], path


def filled(path: str) -> str:
    """A path with names of things that are there, as far as there are some."""
    there = _THERE.get(path.split("/")[2] if path.count("/") > 1 else "", "0" * 64)
    return (
        path.replace("{agent}", "support").replace("{partition}", "0").replace("{key}", there).replace("{name}", there)
    ).replace("{id}", "0" * 64)


def form_key(admin: Dashboard) -> str:
    key = admin.get("/dashboard").document.xpath("//input[@name='form_key']/@value")[0]
    assert isinstance(key, str)
    return key


def ask(
    api: ApiServer,
    path: str,
    admin: Dashboard | None = None,
    *,
    form: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Without following where it leads."""
    cookie = {} if admin is None else {"Cookie": "; ".join(f"{name}={value}" for name, value in admin.cookies.items())}
    return api.ask(
        "GET" if form is None else "POST",
        path,
        None if form is None else urlencode(form).encode(),
        scope=None,
        headers={**cookie, **(headers or {})},
        content_type="" if form is None else FORM,
    )


def kept(api: ApiServer) -> dict[str, Any]:
    """All that is in Redis, but for what changes by itself."""
    names = [name.decode() for name in api.deployment.call("KEYS", "witn:*")]
    return {name: api.deployment.call("DUMP", name) for name in names if name.split(":")[-1] not in _BY_ITSELF}
