"""Make PDF files in separate processes, a few at a time."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from importlib.util import find_spec
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from witnd.billing.pdf.job import MISSING_LIBRARY, Job

# A page with all the outcomes that a PDF may list takes half a minute on a slow core.
_SECONDS: Final = 120.0
# Each uses a core; the daemon needs the others.
_PROCESSES: Final = 2
# What Pango and fontconfig read. The process gets no setting and no secret of the daemon.
_ENVIRONMENT: Final = ("HOME", "PATH", "LANG", "LC_ALL", "XDG_CACHE_HOME", "XDG_DATA_DIRS", "FONTCONFIG_PATH",
                       "FONTCONFIG_FILE", "LD_LIBRARY_PATH")  # fmt: skip
_MESSAGE_MAX: Final = 500

_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class MissingExtra(Exception):  # noqa: N818 - an expected result
    """A library that is not installed. The message names it, with the command that installs it."""


class PdfFailed(Exception):  # noqa: N818
    """The process made no file."""


def check_extras(*, has_xml: bool) -> None:
    """Raise `MissingExtra` if a library is missing. `has_xml`: an e-invoice is to be embedded."""
    if find_spec("weasyprint") is None:
        raise _missing_extra("PDF files", "pdf")
    if has_xml and find_spec("facturx") is None:
        raise _missing_extra("Factur-X files", "einvoice")


def _missing_extra(what: str, extra: str) -> MissingExtra:
    return MissingExtra(
        f"{what} require the extra {extra!r}, which is not installed; run: pip install 'witnd[{extra}]'"
    )


async def make_pdf(job: Job) -> bytes:
    """Return a page as PDF. Raises `MissingExtra` or `PdfFailed`."""
    check_extras(has_xml=job.xml is not None)
    loop = asyncio.get_running_loop()
    async with _slots.setdefault(loop, asyncio.Semaphore(_PROCESSES)):
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", "witnd.billing.pdf.process", stdin=PIPE, stdout=PIPE, stderr=PIPE,
            env=environment,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_SECONDS):
                made, said = await process.communicate(msgspec.msgpack.encode(job))
        except TimeoutError:
            raise PdfFailed(f"the page was not finished after {_SECONDS:.0f} seconds; request the summary") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    *_, message = ["", *said.decode(errors="replace").strip()[-_MESSAGE_MAX:].splitlines()]
    if process.returncode == MISSING_LIBRARY:
        raise MissingExtra(
            f"PDF files require Pango, which is not installed ({message}); on Debian, run: "
            "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
        )
    if process.returncode:
        raise PdfFailed(f"the process that makes PDF files ended with {process.returncode}: {message}")
    return made
