"""Drafts that are due and cannot be issued: each is tried again later, and does not hold up others."""

from collections.abc import Awaitable, Callable
from typing import Any

from structlog.testing import capture_logs

from witnd.billing.closed_drafts import IDLE_MS, ClosedDrafts
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.operations import Refusal

REFUSAL = Refusal("some lines have no tax", "set it")


class Ledger:
    """Two drafts wait: the first cannot be issued."""

    def __init__(self) -> None:
        self.waiting = ["bad", "good"]
        self.tried: list[str] = []
        self.refusal: Refusal | None = REFUSAL

    async def to_issue(self, start: int, most: int) -> list[tuple[str, int]]:
        return [(id_, 0) for id_ in self.waiting[start : start + most]]

    async def load_catalogue(self, catalogue: Catalogue) -> None:
        pass

    async def issue(self, id_: str) -> Refusal | None:
        self.tried.append(id_)
        if id_ == "bad" and self.refusal is not None:
            return self.refusal
        self.waiting.remove(id_)
        return None

    async def adjust(self, id_: str) -> bool:
        raise AssertionError(id_)


def drafts(ledger: Ledger, catalogue: Catalogue) -> ClosedDrafts:
    async def call(_: str, run: Callable[[], Awaitable[Any]]) -> Any:
        return await run()

    async def safe() -> bool:
        return True

    return ClosedDrafts(ledger, catalogue, ledger, safe, call, 0)  # type: ignore[arg-type]


async def nothing() -> None:
    pass


async def test_a_refused_draft_is_tried_again_after_a_while_or_a_change_of_the_catalogue() -> None:
    ledger, catalogue = Ledger(), Catalogue()
    closed = drafts(ledger, catalogue)
    with capture_logs() as logs:
        for now in (1000, 1001, 1000 + IDLE_MS - 1):
            await closed.issue(now, 1 << 62, nothing)
            assert closed.trouble == f"draft bad is not issued: {REFUSAL}"
        assert ledger.tried == ["bad", "good"]
        await closed.issue(1000 + IDLE_MS, 1 << 62, nothing)
        assert ledger.tried == ["bad", "good", "bad"]
        catalogue.revision += 1
        await closed.issue(1001 + IDLE_MS, 1 << 62, nothing)
        assert ledger.tried == ["bad", "good", "bad", "bad"]
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["billing.not_issued"]
    ledger.refusal = None
    await closed.issue(1002 + 2 * IDLE_MS, 1 << 62, nothing)
    assert (ledger.waiting, closed.trouble) == ([], None)
