"""PDF files: made from the page alone, the same each time, and without any connection."""

import io
import socket
from threading import Thread

import pytest
from msgspec.structs import replace
from pypdf import PdfReader

from tests.billing.bills import taxed, text
from tests.support.einvoice_rules import needs_pango
from witnd.billing.export.page import invoice_page
from witnd.billing.pdf.job import Job
from witnd.billing.pdf.renderer import PdfFailed, make_pdf

pytestmark = needs_pango

JOB = Job(
    html="<p>Hello</p>", title="Invoice INV-1", author="Kontor GmbH", subject="Acme", id="ab" * 32,
    at="2026-12-02T08:30:00.000+00:00",
)  # fmt: skip


def text_of(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


async def test_a_file_depends_on_its_page_alone() -> None:
    job = replace(JOB, html=await text(invoice_page(taxed(locale="de"))))
    made = await make_pdf(job)
    assert made == await make_pdf(job)
    reader = PdfReader(io.BytesIO(made))
    assert reader.metadata is not None
    assert (reader.metadata.title, reader.metadata.author) == ("Invoice INV-1", "Kontor GmbH")
    assert str(reader.metadata.creation_date) == "2026-12-02 08:30:00+00:00"
    assert "Netto 115,00 Steuer 21,85 Rechnungsbetrag 136,85 EUR" in text_of(made)
    images = {image.name for page in reader.pages for image in page.images}
    assert len(images) == 1, "the logo"
    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]
    described = [font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object() for font in fonts]
    assert all("/FontFile2" in one or "/FontFile3" in one for one in described), "all fonts are embedded"


async def test_nothing_is_loaded() -> None:
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def accept() -> None:
            with server.accept()[0] as connection:
                asked.append(connection.recv(100))

        Thread(target=accept, daemon=True).start()
        html = (
            f'<link rel=stylesheet href="http://127.0.0.1:{port}/a.css"><img src="http://127.0.0.1:{port}/b.png">'
            f'<img src="file:///etc/passwd"><style>@import "http://127.0.0.1:{port}/c.css";'
            f"p {{ background: url(http://127.0.0.1:{port}/d.png) }}</style>"
            '<link rel=attachment href="file:///etc/passwd"><p>Still there</p>'
        )
        made = await make_pdf(replace(JOB, html=html))
    assert text_of(made) == "Still there"
    assert asked == []
    assert not PdfReader(io.BytesIO(made)).attachments


async def test_a_failed_process_reports_why() -> None:
    with pytest.raises(PdfFailed, match="ended with 1: ValueError"):
        await make_pdf(replace(JOB, id="not-hex"))
