"""Texts that XML 1.0 can contain."""

import re
from typing import Final

from witnd.billing.export.words import show_control_characters

# XML 1.0, 2.2: neither surrogates nor the last two code points of the first plane.
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Return a text on one line, with visible control characters."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", show_control_characters(" ".join(text.split())))
