"""`python -m witnd.billing.pdf.process`: read a page from standard input, and write it as PDF/A-3.

It opens only fonts, and no connection: a page may contain only its logo.
"""

import resource
import sys
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import msgspec

from witnd.billing.pdf.job import MISSING_LIBRARY, XML_NAME, Job

# A page of a thousand lines takes a fifth of this.
_MEMORY_BYTES: Final = 3 << 30
_LOGO: Final = "data:image/png;base64,"
_VARIANT: Final = "pdf/a-3b"


def main() -> None:
    with suppress(OSError, ValueError):  # the systemd sandbox may forbid it, and sets limits too
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    try:
        import weasyprint  # noqa: PLC0415, F401 - it loads Pango, which may be missing
    except OSError as missing:
        sys.stderr.write(str(missing))
        sys.exit(MISSING_LIBRARY)
    sys.stdout.buffer.write(pdf(job))


def pdf(job: Job) -> bytes:
    """Return the page as a file that depends on the job only, and on the installed fonts and libraries."""
    from weasyprint import HTML, Attachment  # noqa: PLC0415 - an extra
    from weasyprint.urls import URLFetcher  # noqa: PLC0415

    class LogoOnly(URLFetcher):  # type: ignore[misc]  # the library has no types
        def fetch(self, url: str, headers: Any = None) -> Any:
            if not url.startswith(_LOGO):
                raise ValueError("a page loads only its logo")
            return super().fetch(url, headers)

    at = datetime.fromisoformat(job.at)
    document = HTML(string=job.html, url_fetcher=LogoOnly(), media_type="print").render()
    metadata = document.metadata
    metadata.title, metadata.authors, metadata.description = job.title, [job.author], job.subject
    metadata.generator, metadata.created, metadata.modified = "witnd", job.at, job.at
    attachments = []
    if job.xml is not None:
        attachments.append(
            Attachment(
                string=job.xml, name=XML_NAME, description="Factur-X", relationship="Data", created=at, modified=at
            )
        )
        metadata.generate_rdf_metadata = lambda *_: _facturx_metadata(job)
    return bytes(
        document.write_pdf(
            pdf_variant=_VARIANT, pdf_identifier=bytes.fromhex(job.id[:32]), attachments=attachments or None
        )
    )


def _facturx_metadata(job: Job) -> bytes:
    """Return the metadata (XMP) of a Factur-X file, with the schema of its own properties."""
    from facturx import generate_xmp_object  # noqa: PLC0415 - an extra
    from lxml import etree  # noqa: PLC0415
    from weasyprint import __version__  # noqa: PLC0415

    packet = generate_xmp_object(
        {
            "pdfa3_flavor": "B",
            "title": job.title,
            "author": job.author,
            "subject": job.subject,
            "producer": f"WeasyPrint {__version__}",  # as in the other metadata of the file
            "creator_tool": "witnd",
            "timestamp": job.at,
            "version": "1.0",
            "documenttype": "INVOICE",
            "xml_filename": XML_NAME,
            "xmp_level": "EN 16931",
            "urn": "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#",
        }
    )
    return bytes(etree.tostring(next(packet.iterchildren())))


if __name__ == "__main__":
    main()
