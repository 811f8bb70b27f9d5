"""Durations for people."""

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60


def duration_text(seconds: int) -> str:
    """Return a duration in its largest whole units."""
    parts = []
    for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts) or "0 s"
