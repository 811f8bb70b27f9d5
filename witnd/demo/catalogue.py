"""The demo's catalogue: the sample file, and customers that are added later."""

import secrets
from collections.abc import Mapping, Sequence
from importlib.resources import files

from witnd.domain.catalogue import file as catalogue_file
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.file import Item
from witnd.domain.catalogue.plan import Change, Plan, plan
from witnd.store.catalogue.versions import CatalogueStore

_SEED_BYTES = 32
_RECEIVER = "http://receiver"


def sample_items(receiver: str) -> tuple[Item, ...]:
    """Return the items of the sample file, with webhooks to the address `receiver`."""
    text = files("witnd.demo").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return _valid_items(catalogue_file.parse(text.replace(_RECEIVER, receiver)))


def new_customer_items(key: str, rate_card: str) -> tuple[Item, ...]:
    """Return the items that add a customer."""
    return _valid_items(catalogue_file.read({"customers": [{"key": key, "rate_card": rate_card}]}))


def _valid_items(file: catalogue_file.CatalogueFile) -> tuple[Item, ...]:
    assert not file.mistakes, file.mistakes
    return file.items


async def apply_items(store: CatalogueStore, items: Sequence[Item]) -> Mapping[str, str]:
    """Apply items as `witnd apply` does. Return the secrets of new rules."""
    seed = secrets.token_bytes(_SEED_BYTES)
    made: Plan | None = None

    def decide(current: Catalogue, at: int) -> tuple[Change, ...]:
        nonlocal made
        made = plan(current, items, seed=seed, at=at)
        return made.changes

    await store.change(Catalogue(), decide)
    assert made is not None
    return made.secrets
