"""Compare the sums of a family of partitions. They are equal if no partition changed meanwhile."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from witnd.audit.partition.lookups import compare_lookups, compare_reversals
from witnd.audit.scope import Scope, accepted_count
from witnd.domain.outcomes.outcome import STATUSES
from witnd.store.query.reads import FATES

ALL_FATES: Final = ("applied", *FATES)


def check_sums(scope: Scope, counters: Mapping[str, int], *, complete: bool, trimmed: Mapping[str, int]) -> None:
    """Compare the totals of `scope`. `complete`: whether they include whole logs. `trimmed`: entries that were removed
    from streams of results."""
    totals = scope.totals
    if scope.damaged:
        # Only the counter includes events of unreadable outcomes.
        found, counted = totals.fates["applied"], counters.get("applied", 0)
        if counted < found:
            scope.differ("", "counter of applied events", f"{found} or more", counted)
        totals.fates["applied"] = counted
    else:
        scope.compare("", "held events", totals.fates["held"], totals.held_items)
        scope.compare("", "events of all histories", totals.events_on_record, totals.fates["applied"])
    for fate in ALL_FATES:
        scope.compare("", f"counter of {fate} events", totals.fates[fate], counters.get(fate, 0))
    for status in STATUSES:
        found = counters.get(status, 0)
        expected = totals.statuses[status] + scope.damaged_count(status, also_on_hold=False)
        scope.compare("", f"counter of {status} outcomes", expected, found)
    compare_reversals(scope, "events that reversed an outcome", totals.fates["reversed"])
    if complete:
        scope.compare("", "events of the log", accepted_count(totals.fates), totals.log_entries)
        if not scope.quick and totals.log_mark != totals.history_mark:
            _report_histories(scope, "recorded events", scope.log_marks, scope.history_marks)
    _check_streams(scope, trimmed)
    compare_lookups(scope)


def _check_streams(scope: Scope, trimmed: Mapping[str, int]) -> None:
    """Compare the streams of resolutions and lines with the outcomes that require their entries."""
    totals = scope.totals
    finals = totals.statuses["CONFIRMED"] + totals.statuses["FAILED"]
    if not (trimmed["resolutions"] and scope.damaged):  # their outcomes are unknown
        entries = totals.resolutions + totals.reversal_entries + trimmed["resolutions"]
        scope.compare("", "resolutions", finals + totals.reversals, entries)
    if not trimmed["resolutions"] and totals.resolutions_mark != totals.resolutions_found_mark:
        _report_counts(scope, "resolutions", scope.resolved)
    if not trimmed["resolutions"] and totals.reversals_mark != totals.reversal_entries_mark:
        _report_counts(scope, "reversals", scope.reversed)
    scope.compare("", "invoice lines", totals.statuses["CONFIRMED"], totals.lines)
    if totals.lines_mark != totals.lines_found_mark:
        _report_counts(scope, "invoice lines", scope.billed)
    scope.compare("", "reversals of invoice lines", totals.reversals, totals.reversal_lines)
    if totals.reversals_mark != totals.reversal_lines_mark:
        _report_counts(scope, "reversals of invoice lines", scope.corrected)


def _report_histories(scope: Scope, what: str, expected: Counter[str], found: Counter[str]) -> None:
    """Report outcomes whose history differs from the log; in the first pass, only that some do."""
    if not scope.precise:
        scope.differ("", what, "those of the log", "others")
    for key in expected.keys() | found.keys():
        if expected[key] != found[key]:
            scope.differ(key, what, "those of the log", "others")


def _report_counts(scope: Scope, what: str, surplus: Counter[str]) -> None:
    """Report outcomes with too many or too few entries; `surplus` is found minus expected."""
    if not scope.precise:
        scope.differ("", what, "one for each", "another set")
    for key, count in surplus.items():
        if count:
            expected = 1 if count == -1 else "1 or none"
            scope.differ(key, what, expected, f"{abs(count)} too {'many' if count > 0 else 'few'}")
