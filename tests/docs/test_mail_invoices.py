"""The recipe that mails invoices, as a process of its own, between a real daemon and a mail server."""

import email
import email.policy
import importlib.util
import json
import os
import socketserver
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.daemon import CATALOGUE, Daemon, event
from tests.support.processes import until
from tests.support.server import Server

SCRIPT = Path(__file__).parents[2] / "docs/how-to/mail_invoices.py"
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HAS_PDF = importlib.util.find_spec("weasyprint") is not None


class Mails(list[EmailMessage]):
    """What a mail server accepted. It refuses the next `refusals` mails."""

    refusals = 0


@contextmanager
def mail_server() -> Iterator[tuple[int, Mails]]:
    """Its port and its mails: as much of SMTP (RFC 5321) as a client without extensions needs."""
    mails = Mails()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 sink")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    self.say("354 go on")
                    self.data()
                elif verb == b"QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

        def data(self) -> None:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line[1:] if line.startswith(b".") else line)
            if mails.refusals:
                mails.refusals -= 1
                self.say("451 try again")
                return
            message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            mails.append(message)
            self.say("250 accepted")

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], mails
        server.shutdown()


def free_port() -> int:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as taken:
        return int(taken.server_address[1])


@contextmanager
def recipe(**settings: str) -> Iterator["subprocess.Popen[str]"]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("WITND_")}
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)], env=environ | settings, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def rule(port: int, secret: str = SECRET) -> str:
    url = f"http://127.0.0.1:{port}/"
    return f'[[notification_rules]]\nname = "mail"\nsource = "invoice_issued"\nurl = "{url}"\nsecret = "{secret}"\n'


@pytest.mark.slow
@pytest.mark.parametrize("document", ["html", *(["pdf"] if HAS_PDF else [])])
def test_an_issued_invoice_is_mailed_once_to_its_buyer(
    server: Callable[..., Server], daemon: Callable[..., Daemon], tmp_path: Path, document: str
) -> None:
    port = free_port()
    with mail_server() as (smtp_port, mails):
        mails.refusals = 1
        here = daemon(
            server(),
            billing__period="day",
            billing__grace="0",
            webhooks__allow_networks="127.0.0.0/8",
            webhooks__schedule=",".join(["0.2"] * 20),
        )
        billing = 'rate_card = "standard", billing = { email = "billing@acme.example" } }'
        here.begins(CATALOGUE.replace('rate_card = "standard" }', billing) + rule(port))
        settings = {
            "WITND_URL": f"http://127.0.0.1:{here.port}",
            "WITND_TOKEN": here.token("read"),
            "WEBHOOK_SECRET": SECRET,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(smtp_port),
            "SMTP_STARTTLS": "no",
            "MAIL_FROM": "Billing <billing@example.com>",
            "MAILED": str(tmp_path / "mailed.db"),
            "DOCUMENT": document,
            "LISTEN_PORT": str(port),
        }
        here.server.call(  # type: ignore[union-attr]
            "XADD", "witn:{0}:events", "1000000000000-0", "data", json.dumps(event("ticket-1"))
        )
        admin = here.token()

        def delivery() -> dict[str, Any]:
            found = here.get("/v1/deliveries?rule=mail", admin)[1]["data"]
            return dict(found[0]) if found else {"standing": None}

        with recipe(**settings):
            until(lambda: delivery()["standing"] == "delivered", "the webhook is delivered", seconds=60)
            [mail] = mails
            id_ = delivery()["id"]
            # Sent again under the same id, and a test of the rule: no mail.
            assert here.request("POST", f"/v1/deliveries/{id_}/resend", None, admin)[0] == 202
            until(lambda: delivery()["attempts"] >= 3 and delivery()["next_at"] is None, "it is resent", seconds=60)
            [found] = here.get("/v1/notification-rules", admin)[1]["data"]
            tested = here.request("POST", f"/v1/notification-rules/{found['id']}/test", None, admin)[1]
            assert (tested["delivered"], tested["status"]) == (True, 204)
            # With another secret it would be a forgery.
            other = SECRET.replace("AAEC", "BBEC")
            assert here.request("PATCH", f"/v1/notification-rules/{found['id']}", {"secret": other}, admin)[0] == 200
        # A process that starts again has not forgotten.
        with recipe(**settings | {"WEBHOOK_SECRET": other}):
            attempts = delivery()["attempts"]
            until(
                lambda: here.request("POST", f"/v1/notification-rules/{found['id']}/test", None, admin)[1]["delivered"],
                "the endpoint answers",
                seconds=30,
            )
            assert here.request("POST", f"/v1/deliveries/{id_}/resend", None, admin)[0] == 202
            until(
                lambda: delivery()["attempts"] > attempts and delivery()["next_at"] is None, "it is resent", seconds=60
            )
            assert delivery()["status"] == 204
        assert [one["Message-ID"] for one in mails] == [f"<{id_}@example.com>"]
    assert (mail["To"], mail["Subject"]) == ("billing@acme.example", "Invoice INV-000001")
    body = mail.get_body()
    assert body is not None
    assert "To pay: 1.00 EUR" in body.get_content()
    [attached] = mail.iter_attachments()
    assert attached.get_filename() == f"INV-000001.{document}"
    content = attached.get_content()
    content = content.encode() if isinstance(content, str) else content
    assert content.startswith(b"%PDF-") if document == "pdf" else b"INV-000001" in content


def test_the_recipe_names_missing_settings() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("set WITND_URL, WITND_TOKEN, WEBHOOK_SECRET, SMTP_HOST, MAIL_FROM")
