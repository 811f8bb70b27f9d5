"""The results of tools: documents, and errors that an agent can act on."""

from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import msgspec
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from witnd.client import ApiError, Detail, NoAnswerError, UnavailableError, WitndError

T = TypeVar("T")
READS: Final = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


async def result(asking: Awaitable[T]) -> T:
    """Return the result, or raise an error that an agent can act on."""
    try:
        return await asking
    except (NoAnswerError, UnavailableError) as away:
        again = " with the same idempotency_key" if away.events else ""
        raise ToolError(f"{away}. The result is unknown; retry the same call{again}.") from away
    except ApiError as refused:
        raise ToolError(f"{refused}{_details_text(refused.details)}") from refused
    except (WitndError, ValueError, TypeError) as wrong:
        raise ToolError(str(wrong)) from wrong


def _details_text(details: tuple[Detail, ...]) -> str:
    return "".join(f"\n- {one.path or 'request'}: {one.message}" for one in details)


def document(answer: object) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(answer)
    return document
