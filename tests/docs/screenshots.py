"""Pictures of the pages of the dashboard for the documentation: `python -m tests.docs.screenshots`.

A daemon with the sample of `tests/dashboard/sample.py` behind it; each page in light, in dark and as wide as a phone.
Names are the same each time. Instants are not, as the sample is of the weeks before now, so nothing compares pictures.
"""

from base64 import b64decode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.dashboard.browser import Tab, chromium
from tests.dashboard.sample import sample
from tests.docs.generate import ROOT
from tests.support.server import Server

FOLDER = ROOT / "docs" / "screenshots"
WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844}
QUALITY = 40
# What is worth seeing is further down on these.
TALL = ("overview", "outcome", "invoice")
TALLER = 1150
# Outcomes of each agent of the sample.
MANY = 60
# Name of the picture → the page.
PICTURES = {
    "overview": "/dashboard",
    "outcomes": "/dashboard/outcomes",
    "outcome": "/dashboard/outcomes/{key}",
    "problems": "/dashboard/problems",
    "events": "/dashboard/events",
    "invoices": "/dashboard/invoices",
    "invoice": "/dashboard/invoices/{id}",
    "ageing": "/dashboard/invoices/ageing",
    "customers": "/dashboard/customers",
    "customer": "/dashboard/customers/{key}",
    "rate-cards": "/dashboard/rate-cards",
    "rate-card-editor": "/dashboard/rate-cards/{key}/edit",
    "taxes": "/dashboard/taxes",
    "agents": "/dashboard/agents",
    "agent": "/dashboard/agents/{key}",
    "agent-builder": "/dashboard/agents/{key}/edit",
    "notifications": "/dashboard/notifications",
    "notification": "/dashboard/notifications/{name}",
    "deliveries": "/dashboard/deliveries",
    "delivery": "/dashboard/deliveries/{id}",
    "seller": "/dashboard/seller",
    "tokens": "/dashboard/tokens",
    "changes": "/dashboard/changes",
    "settings": "/dashboard/settings",
}


def write() -> None:
    taken = _taken()
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for name, picture in taken.items():
        (FOLDER / name).write_bytes(picture)
    print(f"{sum(map(len, taken.values())) / 1e6:.2f} MB in {FOLDER.relative_to(ROOT)}")


def _taken() -> dict[str, bytes]:
    """The pictures by the names of their files."""
    taken: dict[str, bytes] = {}
    with (
        TemporaryDirectory(prefix="witnd-") as directory,
        Server(Path(directory)) as server,
        sample(server, Path(directory), many=MANY) as world,
        chromium() as browser,
    ):
        for kind, colours, size in (("light", "light", WIDE), ("dark", "dark", WIDE), ("phone", "light", NARROW)):
            context = browser.new_context(
                viewport=size, color_scheme=colours, locale="en-GB", timezone_id="Europe/Berlin"
            )
            tab = Tab(context, world.api)
            tab.sign_in(world.api.tokens["admin"])
            for name, path in PICTURES.items():
                seen = {**size, "height": TALLER} if name in TALL else size
                tab.page.set_viewport_size(seen)
                tab.open(world.named(path))
                taken[f"{name}-{kind}.webp"] = _picture(tab.page, seen)
            context.close()
    return taken


def _picture(page: Any, size: dict[str, int]) -> bytes:
    """What is seen of a page first, or all of it where it is shorter."""
    height = min(size["height"], page.evaluate("document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
    # Not by playwright's own method, which knows no WebP.
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY, "clip": clip})
    session.detach()
    return b64decode(taken["data"])


if __name__ == "__main__":
    write()
