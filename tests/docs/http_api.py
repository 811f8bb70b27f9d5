"""The HTTP API for people who read the repository: made from the same document as the page that the daemon serves."""

from collections.abc import Callable, Sequence

from witnd.web.api.spec.openapi import document, text
from witnd.web.api.spec.reference import Member, Operation, Word, refusals, sections, shapes
from witnd.web.http.metrics import METRICS, MetricSpec
from witnd.web.routes import ROUTES

# A heading's name where the pages are shown.
_LOST = str.maketrans("", "", ".`/{}")

Table = Callable[[tuple[str, ...], list[tuple[str, ...]]], str]

# What the client library exposes about the process.
OF_THE_PROCESS: dict[str, MetricSpec] = {
    "process_cpu_seconds_total": MetricSpec("counter", "CPU time of the process."),
    "process_resident_memory_bytes": MetricSpec("gauge", "Memory in use."),
    "process_virtual_memory_bytes": MetricSpec("gauge", "Address space in use."),
    "process_start_time_seconds": MetricSpec("gauge", "Unix time at which the process started."),
    "process_open_fds": MetricSpec("gauge", "Open files and sockets."),
    "process_max_fds": MetricSpec("gauge", "Maximum number of open files and sockets."),
}


def openapi_file() -> str:
    return text(ROUTES).decode()


def calls(table: Table) -> Callable[[], str]:
    def block() -> str:
        parts = []
        for section in sections(document(ROUTES)):
            parts.append(f"## {section.name.capitalize()}\n\n{section.says}")
            parts += [_call(one, table) for one in section.operations]
        return "\n\n".join(parts)

    return block


def errors(table: Table) -> Callable[[], str]:
    def block() -> str:
        rows = [(str(one.status), f"`{one.code}`", f"`{one.type}`", one.says) for one in refusals()]
        return table(("status", "code", "type", "meaning"), rows)

    return block


def objects(table: Table) -> Callable[[], str]:
    def block() -> str:
        parts = []
        for shape in shapes(document(ROUTES)):
            parts.append(f"### `{shape.name}`" + (f"\n\n{shape.says}" if shape.says else ""))
            if shape.members:
                parts.append(table(("member", "type", "meaning"), [_member(one) for one in shape.members]))
        return "\n\n".join(parts)

    return block


def metrics(table: Table) -> Callable[[], str]:
    def block() -> str:
        figures = {**METRICS, **OF_THE_PROCESS}
        rows = [
            (f"`{name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels) or "–", one.says)
            for name, one in figures.items()
        ]
        return table(("name", "type", "labels", "meaning"), rows)

    return block


def _call(one: Operation, table: Table) -> str:
    parts = [f"### {one.method} `{one.path}`", f"{one.says}\n\n{one.description}"]
    if one.parameters:
        rows = [(name, it.place, type_, says) for it in one.parameters for name, type_, says in [_member(it)]]
        parts.append(table(("parameter", "in", "type", "meaning"), rows))
    lines = [f"- Body, `{kind}`: {_type(words)}" for kind, words in one.bodies]
    lines += [f"- Answer {one.status}, `{kind}`: {_type(words)}" for kind, words in one.answers]
    lines += [] if one.answers else [f"- Answer {one.status}, without a body"]
    lines.append("- Refusals: " + ", ".join(f"{it.status} `{it.code}`" for it in one.refusals))
    return "\n\n".join([*parts, "\n".join(lines)])


def _member(one: Member) -> tuple[str, str, str]:
    return f"`{one.name}`" + (" (required)" if one.required else ""), _type(one.type), one.says


def _type(words: Sequence[Word]) -> str:
    return "".join(
        f"[`{word.text}`](#{word.text.lower().translate(_LOST)})" if word.anchor else word.text for word in words
    )
