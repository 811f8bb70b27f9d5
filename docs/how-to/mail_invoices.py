"""Mail each invoice to its buyer: an endpoint for the webhook `invoice_issued` of witnd.

Run it with `pip install standardwebhooks`, behind a proxy with TLS. docs/how-to/mail-invoices.md has the settings.
"""

import json
import mimetypes
import os
import smtplib
import sqlite3
import sys
from collections.abc import Mapping
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple
from urllib.parse import quote
from urllib.request import Request, urlopen

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 1 << 20
# witnd waits 20 s for a response. All steps together must take less.
SECONDS = 6


class Settings(NamedTuple):
    """The settings, from the environment."""

    witnd_url: str
    witnd_token: str
    webhook_secret: str
    smtp_host: str
    mail_from: str
    smtp_port: str = "587"
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_starttls: str = "yes"
    document: str = "pdf"
    mailed: str = "mailed.db"
    listen_port: str = "8710"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        given = {name: environ[name.upper()] for name in cls._fields if environ.get(name.upper())}
        missing = [name.upper() for name in cls._fields if name not in given and name not in cls._field_defaults]
        if missing:
            raise SystemExit(f"set {', '.join(missing)}")
        return cls(**given)


class Mailer:
    """Mails invoices, each webhook once. `handle` returns the status to answer with."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mailed = sqlite3.connect(settings.mailed)
        self._mailed.execute("CREATE TABLE IF NOT EXISTS mailed (webhook_id TEXT PRIMARY KEY, recipient TEXT)")

    def handle(self, headers: Mapping[str, str], body: bytes) -> int:
        try:
            message = Webhook(self._settings.webhook_secret).verify(body, dict(headers))
        except WebhookVerificationError:
            return 401
        if message["type"] != "invoice_issued":
            return 204  # a test, or another event
        if self._mailed.execute("SELECT 1 FROM mailed WHERE webhook_id = ?", (message["id"],)).fetchone():
            return 204  # mailed before
        recipient = self._mail(message)
        # If the process dies here, witnd sends the webhook again, and the mail has the same Message-ID.
        with self._mailed:
            self._mailed.execute("INSERT INTO mailed VALUES (?, ?)", (message["id"], recipient))
        return 204

    def _mail(self, message: dict[str, Any]) -> str:
        """Mail an invoice. Return the recipient, or "" if the buyer has no address."""
        facts = message["data"]["facts"]
        path = f"/v1/invoices/{quote(facts['invoiceId'])}"
        invoice = json.loads(self._get(path)[0])
        recipient = invoice["buyer"]["email"]
        if recipient is None:
            log(f"{facts['invoiceNumber']}: customer {facts['customerKey']} has no billing.email, so nothing is mailed")
            return ""
        document, content_type = self._get(f"{path}?format={self._settings.document}")
        self._send(mail(self._settings, message, recipient, document, content_type))
        log(f"{facts['invoiceNumber']}: mailed to {recipient}")
        return str(recipient)

    def _get(self, path: str) -> tuple[bytes, str]:
        request = Request(  # noqa: S310 - the address is a setting
            self._settings.witnd_url.rstrip("/") + path,
            headers={"Authorization": f"Bearer {self._settings.witnd_token}"},
        )
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return answer.read(), answer.headers.get_content_type()

    def _send(self, mail: EmailMessage) -> None:
        settings = self._settings
        with smtplib.SMTP(settings.smtp_host, int(settings.smtp_port), timeout=SECONDS) as smtp:
            if settings.smtp_starttls == "yes":
                smtp.starttls()
            if settings.smtp_user:
                smtp.login(settings.smtp_user, settings.smtp_password)
            smtp.send_message(mail)


def mail(
    settings: Settings, message: dict[str, Any], recipient: str, document: bytes, content_type: str
) -> EmailMessage:
    """Return the mail with the document. Its Message-ID depends only on the webhook."""
    number, invoice = message["data"]["facts"]["invoiceNumber"], message["data"]["invoice"]
    made = EmailMessage()
    made["Subject"] = f"Invoice {number}"
    made["From"] = settings.mail_from
    made["To"] = recipient
    made["Message-ID"] = f"<{message['id']}@{settings.mail_from.rpartition('@')[2].rstrip('>')}>"
    made.set_content(
        f"Please find invoice {number} attached.\n\n"
        f"Total: {invoice['total']} {invoice['currency']}\n"
        f"To pay: {invoice['due']} {invoice['currency']} until {invoice['due_date']}\n"
    )
    main_type, _, sub_type = content_type.partition("/")
    name = f"{number}{mimetypes.guess_extension(content_type) or ''}"
    made.add_attachment(document, maintype=main_type, subtype=sub_type, filename=name)
    return made


def log(text: str) -> None:
    sys.stderr.write(text + "\n")


def server(settings: Settings) -> HTTPServer:
    """Return the endpoint. It handles one webhook at a time, so that none is mailed twice."""
    mailer = Mailer(settings)

    class Endpoint(BaseHTTPRequestHandler):
        timeout = SECONDS

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if length > MAX_BODY_BYTES:
                self.answer(413)
                return
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                self.answer(mailer.handle(headers, body))
            except (OSError, smtplib.SMTPException) as error:
                log(f"not mailed: {error}")
                self.answer(503)  # witnd sends the webhook again

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log only mails."""

    return HTTPServer(("127.0.0.1", int(settings.listen_port)), Endpoint)


if __name__ == "__main__":
    server(Settings.read(os.environ)).serve_forever()
