"""Who gets in, for how long, and who may change things."""

import re

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard
from tests.web.api_server import ApiServer

NOBODY = {"Sec-Fetch-Site": "cross-site"}


def test_nobody_sees_a_page_without_signing_in_and_comes_back_to_where_they_were(api: ApiServer) -> None:
    nobody = Dashboard(api, None)
    page = nobody.get("/dashboard/outcomes?status=open")
    assert page.path == "/dashboard/sign-in?next=%2Fdashboard%2Foutcomes%3Fstatus%3Dopen"
    page = nobody.submit(page, token=api.tokens["admin"])
    assert (page.status, page.path) == (200, "/dashboard/outcomes?status=open")


def test_home_leads_browsers_to_the_dashboard(api: ApiServer) -> None:
    accepts = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
    assert Dashboard(api, None).get("/", accepts).path.startswith("/dashboard/sign-in")
    assert api.ask("GET", "/", scope=None).error["code"] == "TOKEN_INVALID"
    assert api.ask("GET", "/", scope="read").error["code"] == "NOT_FOUND"


def test_wrong_tokens_and_tokens_that_only_send_are_refused_with_a_reason(api: ApiServer) -> None:
    nobody = Dashboard(api, None)
    page = nobody.sign_in("wn_nonsense_x")
    assert page.status == 401
    assert page.invalid == ["token"]
    page = nobody.sign_in(api.tokens["ingest"])
    assert page.status == 403
    assert page.invalid == ["token"]
    assert not nobody.cookies


def test_signing_in_never_leads_out_of_the_dashboard(api: ApiServer) -> None:
    for target in ("https://example.com/", "//example.com", "/dashboard\\..\\x", "/v1/tokens", "/dashboardx", ""):
        assert Dashboard(api, None).sign_in(api.tokens["read"], target).path == "/dashboard"


def test_a_session_is_worth_nothing_after_signing_out(admin: Dashboard) -> None:
    kept = dict(admin.cookies)
    assert admin.submit(admin.get("/dashboard"), "/dashboard/sign-out").path == "/dashboard/sign-in"
    admin.cookies = kept
    assert admin.get("/dashboard").path.startswith("/dashboard/sign-in")


def test_a_session_ends_with_its_token(admin: Dashboard, api: ApiServer) -> None:
    [token] = [one for one in api.get("/v1/tokens")["data"] if one["name"] == "admin"]
    assert api.ask("DELETE", f"/v1/tokens/{token['id']}?self=true").status == 200
    assert admin.get("/dashboard").path.startswith("/dashboard/sign-in")


def test_a_session_is_kept_as_a_digest_and_ends_by_itself(admin: Dashboard, api: ApiServer) -> None:
    [cookie] = admin.cookies.values()
    names = [name.decode() for name in api.deployment.call("KEYS", "witn:{shared}:session:*")]
    assert len(names) == 1
    assert cookie not in names[0]
    assert 12 * 3600 - 60 < api.deployment.call("TTL", names[0]) <= 12 * 3600


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(api: ApiServer) -> None:
    body = f"token={api.tokens['read']}".encode()
    form = "application/x-www-form-urlencoded"
    for proxied, secure in (({}, False), ({"X-Forwarded-Proto": "https"}, True)):
        answer = api.ask("POST", "/dashboard/sign-in", body, scope=None, content_type=form, headers=proxied)
        kept = answer.headers["set-cookie"]
        assert re.match(r"witnd_session=[\w-]{43}; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax", kept)
        assert kept.endswith("; Secure") is secure


def test_forms_of_other_sites_and_without_the_key_are_refused(admin: Dashboard) -> None:
    page = admin.get("/dashboard")
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    assert admin.send("/dashboard/sign-out", {"form_key": key}, NOBODY).status == 403
    assert admin.send("/dashboard/sign-out", {"form_key": key}, {"Origin": "http://evil.example"}).status == 403
    assert admin.send("/dashboard/sign-out", {"form_key": "x"}).status == 403
    assert admin.send("/dashboard/sign-out", {}).status == 403
    assert admin.get("/dashboard").path == "/dashboard", "still signed in"
    assert admin.send("/dashboard/sign-in", {"token": "x"}, NOBODY).status == 403


def test_every_page_says_what_may_run_in_it(admin: Dashboard) -> None:
    for path in ("/dashboard", "/dashboard/sign-in", "/dashboard/nothing-here"):
        headers = admin.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_what_is_not_there_is_a_page_too(admin: Dashboard, api: ApiServer) -> None:
    page = admin.get("/dashboard/nothing-here")
    assert page.status == 404
    assert page.cases[0] == "not_found"
    assert Dashboard(api, None).get("/dashboard/static/nothing.css").status == 404


def test_somebody_signs_in_with_a_browser(tab: Tab) -> None:
    tab.page.locator("form[action$='/sign-out'] button").click()
    tab.field("token").wait_for()


def test_the_overview_shows_what_arrives_without_being_loaded_again(tab: Tab, api: ApiServer) -> None:
    confirmed = tab.page.locator("a.figure[href$='status=open'] .value")
    assert confirmed.inner_text() == "0"
    body = {"key": "ticket-4711", "customer_key": "nobody", "action": "ticket_opened"}
    assert api.ask("POST", "/v1/events", body, scope="ingest").status == 202
    tab.page.locator("#needs [data-fact=held]").wait_for()


def test_a_form_is_still_there_when_the_session_has_ended(admin: Dashboard, api: ApiServer) -> None:
    page = admin.get("/dashboard/customers/new")
    for key in api.deployment.call("KEYS", "witn:{shared}:session:*"):
        api.deployment.call("DEL", key)
    page = admin.submit(page, key="acme", name="Acme & <Co>")
    assert page.status == 401
    assert page.cases == ["form-kept"]
    wrong = admin.submit(page, "/dashboard/sign-in", token="wn_wrong")
    assert wrong.status == 401
    page = admin.submit(wrong, "/dashboard/sign-in", token=api.tokens["admin"])
    assert "Acme & <Co>" in page.text
    page = admin.submit(page, "/dashboard/customers/new")
    assert (page.status, page.path) == (200, "/dashboard/customers/acme")
    assert api.get("/v1/customers/acme")["name"] == "Acme & <Co>"


def test_a_form_of_another_site_is_not_kept(api: ApiServer) -> None:
    nobody = Dashboard(api, None)
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert nobody.send("/dashboard/customers/new", {"key": "acme"}, headers).status == 403
