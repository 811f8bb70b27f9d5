"""Grades, timers and reversals of agents for people."""

from collections.abc import Mapping
from typing import Any

from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.terms.grades import GRADES, grade_name
from witnd.domain.catalogue.terms.reversal import REVERSAL
from witnd.web.dashboard.present.words import span


def grade_lines(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the name and the condition of each grade in order; empty without grades."""
    return [(grade_name(grade), condition_text(grade["condition"])) for grade in content.get(GRADES, ())]


def timer_lines(content: Mapping[str, Any]) -> list[str]:
    """Return what each action with a timer does; empty without timers."""
    return [
        f"`{action}` keeps the deadline" if isinstance(timer, str) else f"{span(timer)} after `{action}`"
        for action, timer in (content.get("timers") or {}).items()
    ]


def reversal_line(content: Mapping[str, Any]) -> str:
    """Return what reverses a confirmed outcome; empty if nothing does."""
    reversal = content.get(REVERSAL)
    if not reversal:
        return ""
    return f"by {' or '.join([f'`{action}`' for action in reversal['on']])} within {span(reversal['window'])}"
