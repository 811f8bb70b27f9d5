"""Send an exported file as a download."""

import re
from typing import Final

from witnd.app.invoices.exports import HTML, ExportedFile
from witnd.web.http.route import Stream

# A page contains only text, its own styles and a logo. The dashboard shows it in a frame.
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
_UNSAFE_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)


def download(file: ExportedFile) -> Stream:
    """Return the answer that sends a file. A browser shows a page and saves everything else."""
    is_page = file.content_type == HTML
    headers = {"Content-Disposition": f'{"inline" if is_page else "attachment"}; filename="{file_name(file.name)}"'}
    if is_page:
        headers["Content-Security-Policy"] = _POLICY
    return Stream(file.parts, file.content_type, headers)


def file_name(name: str) -> str:
    """Replace the characters of a name that have a meaning in headers, shells or file systems."""
    return _UNSAFE_IN_NAMES.sub("_", name).lstrip(".-") or "export"
