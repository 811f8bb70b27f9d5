"""What the process that makes PDF files reads and writes."""

from typing import Final

from msgspec import Struct

#: The name that Factur-X prescribes for its XML.
XML_NAME: Final = "factur-x.xml"
#: Exit codes of the process. Any other one is a crash.
MISSING_LIBRARY: Final = 3


class Job(Struct, frozen=True, kw_only=True):
    """A page to print. `id` and `at` (ISO 8601) make the file the same each time. `xml`: the e-invoice to embed."""

    html: str
    title: str
    author: str
    subject: str
    id: str
    at: str
    xml: bytes | None = None
