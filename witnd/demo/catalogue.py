"""The catalogue files of the demo: the sample, and customers that are added later."""

from importlib.resources import files
from typing import Final

_RECEIVER: Final = "http://receiver"


def sample_file(receiver: str) -> bytes:
    """Return the sample file, with webhooks to the address `receiver`."""
    text = files("witnd.demo").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return text.replace(_RECEIVER, receiver).encode()


def history_file() -> bytes:
    """Return the sample file without webhooks, which results of the history must not send."""
    text = files("witnd.demo").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return text.partition("[[notification_rules]]")[0].encode()


def customer_file(key: str, rate_card: str) -> bytes:
    """Return a file that adds a customer."""
    return f'customers = [{{ key = "{key}", rate_card = "{rate_card}" }}]'.encode()
