"""Sentences about an outcome as HTML, with links to its events."""

import re
from collections.abc import Collection
from typing import Final

from markupsafe import Markup, escape

from witnd.domain.values import instant
from witnd.web.dashboard.present.words import when

_MENTIONED: Final = re.compile(
    r"event (?P<entry>([0-9]{1,16})-[0-9]{1,20})|(?P<at>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z)"
)


def sentence_html(text: str, here: Collection[str] = ()) -> Markup:
    """A sentence of `witnd.domain.outcomes.explain` as HTML.

    Names between backticks become code, and instants are shown in the reader's time zone. Events are named by when they
    came, with a link to those that are on the page (`here`).
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a name has a backtick itself: nobody knows where names begin
        return _prose(text, here)
    shown = [Markup("<code>{}</code>").format(part) if n % 2 else _prose(part, here) for n, part in enumerate(parts)]
    return Markup("").join(shown)


def _prose(text: str, here: Collection[str]) -> Markup:
    shown, end = Markup(""), 0
    for mentioned in _MENTIONED.finditer(text):
        shown += escape(text[end : mentioned.start()]) + _mentioned(mentioned, here)
        end = mentioned.end()
    return shown + escape(text[end:])


def _mentioned(mentioned: re.Match[str], here: Collection[str]) -> Markup:
    entry = mentioned["entry"]
    try:
        at = when(instant.parse(mentioned["at"]) if entry is None else int(mentioned[2]))
    except (ValueError, OverflowError):
        return escape(mentioned[0])
    if entry is None:
        return Markup("{}").format(at)
    if entry in here:
        return Markup('<a href="#e-{}">the event at {}</a>').format(entry, at)
    return Markup("the event at {}").format(at)
