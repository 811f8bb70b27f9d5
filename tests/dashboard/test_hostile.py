"""Whatever comes from outside is shown as text: in no page it becomes markup, an address or a script, and none of it
makes a page wider than a phone."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, words
from tests.dashboard.sample import Sample, looked_at, sample
from tests.support.server import Server
from tests.web.recorded_run import settle

SCRIPT = '"><script>alert(1)</script>'
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    SCRIPT,
    "' onmouseover='alert(1)",
    "</textarea></title></style><svg onload=alert(1)>",
    "javascript:alert(1)//",
    "\u202egnp.",  # what follows would be read from right to left
    "{{7*7}}{% raw %}",
    "../..//?#%2f%00",
    "W" * 200,
)
LONG = "x" * 10_000
FILTERS = ("search", "match", "status", "customer", "customer_key", "agent", "fate", "key", "rule", "standing", "after",
           "period", "currency", "rate_card", "who", "what", "from", "until", "version", "one", "other", "name", "row",
           "outcome", "archived", "part", "outcomes", "units")  # fmt: skip
# Elements and attributes that no page of ours has.
INJECTED = """
//script[not(@src)] | //style | //iframe[not(parent::*/@id='document')] | //object | //embed | //base | //@style
| //@*[starts-with(name(), 'on')]
| //img[not(starts-with(@src, '/dashboard/static/') or starts-with(@src, '/dashboard/seller/logo?'))]
| //@href[starts-with(normalize-space(.), 'javascript:')] | //@action[not(starts-with(., '/dashboard'))]
| //@formaction[not(starts-with(., '/dashboard'))]
| //@src[not(starts-with(., '/dashboard/static/') or starts-with(., '/dashboard/seller/logo?')
  or starts-with(., '/dashboard/invoices/') and contains(., '/print?revision='))]
| //a/@href[not(starts-with(., '/dashboard') or starts-with(., '#')
  or . = '/docs' or . = '/openapi.json' or . = '/metrics')]
"""


def spell(text: str) -> str:
    """The word behind something hostile, always the same for the same word."""
    return HOSTILE[crc32(text.encode()) % len(HOSTILE)] + text


@pytest.fixture(scope="module")
def world() -> Iterator[Sample]:
    answer = f"{''.join(HOSTILE)}{LONG}"
    with (
        TemporaryDirectory(prefix="witnd-") as directory,
        Server(Path(directory)) as server,
        sample(server, Path(directory), say=spell, answer=answer) as full,
    ):
        send(full, {"data": f'{{"key": "{LONG}'})
        send(full, {"data": SCRIPT})
        send(full, {"key": spell("unknown"), "customer_key": SCRIPT, "action": SCRIPT, "agent_key": SCRIPT})
        settle(full.api)
        yield full


def send(world: Sample, entry: dict[str, str]) -> None:
    deployment = world.api.deployment
    deployment.call("XADD", deployment.keys().events, "*", *[part for pair in entry.items() for part in pair])


@pytest.fixture(scope="module")
def reading(world: Sample) -> Dashboard:
    return Dashboard(world.api)


@pytest.fixture(scope="module")
def phone(world: Sample, browser: Any) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = Tab(context, world.api)
    opened.page.on("dialog", lambda dialog: opened.noise.append(f"dialog: {dialog.message}"))
    opened.sign_in(world.api.tokens["admin"])
    yield opened
    context.close()


def injected(source: Any) -> list[str]:
    return [str(one) for one in source.xpath(INJECTED)]


@pytest.mark.parametrize("path", [path for path in looked_at() if not path.endswith("/print")])
def test_hostile_text_stays_text(reading: Dashboard, world: Sample, path: str) -> None:
    page = reading.get(world.named(path))
    assert page.status == 200
    assert injected(page.document) == []
    assert "49{%" not in page.text


@pytest.mark.parametrize("path", [path for path in looked_at() if path.endswith("/print")])
def test_hostile_text_stays_text_on_paper(reading: Dashboard, world: Sample, path: str) -> None:
    page = reading.get(world.named(path))
    assert page.status == 200
    not_the_logo = "not(starts-with(@src, 'data:image/png;base64,'))"
    assert not page.document.xpath(f"//script | //img[{not_the_logo}] | //svg | //@*[starts-with(name(), 'on')]")


@pytest.mark.parametrize("path", looked_at())
def test_hostile_text_does_nothing_in_a_browser_and_fits_on_a_phone(phone: Tab, world: Sample, path: str) -> None:
    assert phone.open(world.named(path)).status == 200
    phone.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    wide = """() => {
        const most = document.documentElement.clientWidth, page = document.scrollingElement;
        if (page.scrollWidth <= most) return [];
        return [...document.querySelectorAll('main *')]
            .filter((one) => one.getBoundingClientRect().right > most + 1 && !one.closest('.scroll *, pre, nav'))
            .map((one) => `${one.tagName}.${one.className}: ${one.textContent.slice(0, 80)}`).concat('the page');
    }"""
    assert phone.page.evaluate(wide) == []
    assert not phone.noise


@pytest.mark.parametrize("path", ["agents", "customers", "notifications", "outcomes"])
def test_things_with_hostile_names_have_a_page_of_their_own(reading: Dashboard, world: Sample, path: str) -> None:
    name = "{name}" if path == "notifications" else "{key}"
    listed = reading.get(f"/dashboard/{path}")
    address = world.named(f"/dashboard/{path}/{name}")
    text = listed.links()
    assert address in text.values(), text
    key = next(key for key, one in text.items() if one == address)
    assert key in reading.get(address).text


@pytest.mark.parametrize("path", [path for path in looked_at() if "{" not in path])
def test_what_an_address_asks_for_is_never_markup(reading: Dashboard, path: str) -> None:
    hostile = f"javascript:alert(1)//{SCRIPT}"
    for name in FILTERS:
        page = reading.get(f"{path}?{urlencode({name: hostile})}")
        assert page.status in (200, 400, 404), name
        assert injected(page.document) == [], name


def test_a_field_that_is_refused_comes_back_as_it_was_typed(reading: Dashboard) -> None:
    form = reading.get("/dashboard/notifications/new")
    for address in ("javascript:alert(1)", f"data:text/html,{SCRIPT}", "\u202eexe.x", f"//{SCRIPT}"):
        page = reading.submit(form, name=SCRIPT, url=address)
        assert page.status == 400, page.text
        assert page.find("//input[@name='url']").get("value") == address
        assert page.find("//input[@name='name']").get("value") == SCRIPT
        assert injected(page.document) == []


def test_what_an_endpoint_answers_is_shown_as_it_is_as_far_as_it_is_kept(reading: Dashboard, world: Sample) -> None:
    page = reading.get(world.named("/dashboard/deliveries/{id}"))
    assert words(page.document.body).count(HOSTILE[0]) >= 1
    assert LONG not in page.source
