"""The reference of `witnd.client`: signatures and docstrings of everything it exports."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from witnd import client

_ORDER = (
    ("Clients", (client.Client, client.AsyncClient, client.RedisSender)),
    ("Webhooks", (client.verify_webhook,)),
    (
        "Values",
        (
            client.Event,
            client.EventReceipt,
            client.Retries,
            client.Outcome,
            client.OutcomeDetail,
            client.Page,
            client.Fate,
            client.Invoice,
            client.InvoiceGroup,
            client.InvoicePage,
            client.LinePage,
            client.AgeingReport,
            client.Ageing,
            client.TaxRow,
            client.LineResult,
            client.Payment,
            client.PaymentResult,
            client.CreditResult,
            client.Balance,
            client.RefundResult,
        ),
    ),
    (
        "Errors",
        (
            client.WitndError, client.NoAnswerError, client.NotSentError, client.SignatureError, client.ApiError,
            client.ValidationError, client.NotAllowedError, client.NotFoundError, client.ConflictError,
            client.RateLimitedError, client.UnavailableError, client.Detail,
        ),
    ),
)  # fmt: skip


def block() -> str:
    named = {one.__name__ for _, them in _ORDER for one in them}
    assert named == set(client.__all__), named ^ set(client.__all__)
    parts = []
    for title, them in _ORDER:
        parts.append(f"## {title}")
        for one in them:
            parts += _one(one)
    return "\n\n".join(parts)


def _one(thing: Any) -> Iterator[str]:
    yield f"### {thing.__name__}"
    if inspect.isclass(thing) and issubclass(thing, Exception):
        above = "" if thing.__mro__[1] is Exception else f"A kind of `{thing.__mro__[1].__name__}`. "
        yield above + _prose(thing)
        return
    yield _prose(thing)
    yield _code(thing.__name__, thing)
    if not inspect.isclass(thing) or issubclass(thing, msgspec.Struct):
        return
    for part in thing.__mro__[:-1]:
        for name, method in vars(part).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                yield f"{_code(name, method)}\n\n{_prose(method)}"


def _code(name: str, thing: Any) -> str:
    signature = inspect.signature(thing)
    if inspect.isfunction(thing) and next(iter(signature.parameters), "") == "self":
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    shown = [_parameter(one) for one in signature.parameters.values()]
    kinds = [one.kind for one in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        shown.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    begin = "async def " if inspect.iscoroutinefunction(thing) else "def " if inspect.isfunction(thing) else ""
    answer = signature.return_annotation
    end = "" if answer in (inspect.Signature.empty, None) else f" -> {_type(answer)}"
    line = f"{begin}{name}({', '.join(shown)}){end}"
    if len(line) > 100:
        line = f"{begin}{name}(\n    " + ",\n    ".join(shown) + f",\n){end}"
    return f"```text\n{line}\n```"


def _parameter(one: inspect.Parameter) -> str:
    star = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}.get(one.kind, "")
    text = f"{star}{one.name}: {_type(one.annotation)}"
    if one.default is inspect.Parameter.empty:
        return text
    if not isinstance(one.default, str | int | float | bool | list | None):
        return f"{text} = …"  # made for each
    return f"{text} = {one.default!r}"


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"\b(?:[a-z_]+\.)+([A-Z]\w*)", r"\1", text)
    return text.replace("datetime.datetime", "datetime").replace("<class '", "").replace("'>", "")


def _prose(thing: Any) -> str:
    text = inspect.getdoc(thing) or ""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
