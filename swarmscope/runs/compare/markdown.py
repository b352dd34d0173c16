"""A comparison with the baseline as a section of Markdown."""

from __future__ import annotations

from swarmscope.runs import markdown
from swarmscope.runs.compare import words
from swarmscope.runs.compare.comparison import BETTER, SAME, UNKNOWN, WORSE, Change
from swarmscope.runs.compare.judged import JudgedComparison

HEADINGS = ("endpoint", "figure", "before", "now", "change", "from", "to", "")
ALIGNMENT = "<<>>>>><"
RANKS = {WORSE: 0, BETTER: 1, UNKNOWN: 2, SAME: 3}
SIGNS = {WORSE: "**worse**", BETTER: "better", UNKNOWN: "unknown", SAME: "no clear change"}


def section(answer: JudgedComparison, name: str) -> str:
    """Return a heading, the verdict, what changed beyond noise, and all other figures folded.

    *name* is what the user calls the baseline.
    """
    changed = [change for change in answer.changes if _is_news(change)]
    changed.sort(key=lambda change: RANKS[change.verdict])
    others = [change for change in answer.changes if not _is_news(change)]
    run = f"Compared with {answer.a.run} ({name})"
    verdict = list(words.verdict(answer))
    about = [line for line in words.conclusion(answer) if line not in verdict]
    blocks = [
        f"#### {markdown.text(run)}",
        *markdown.sentences([" ".join(verdict)]),
        *markdown.sentences([f"Warning: {warning}" for warning in answer.warnings]),
        _table(changed),
        _folded(others),
        *markdown.sentences([" ".join(about)]),
    ]
    return "\n\n".join(filter(None, blocks))


def _is_news(change: Change) -> bool:
    """Return whether it is shown at first sight: what changed, and the figure that decides."""
    decides = (words.endpoint(change), change.part, change.measure)
    return change.verdict in (WORSE, BETTER) or decides == (words.ALL_ENDPOINTS, "response", "p95")


def _folded(changes: list[Change]) -> str:
    if not changes:
        return ""
    summary = f"<details><summary>{len(changes):,} figures without a clear change</summary>"
    return f"{summary}\n\n{_table(changes)}\n\n</details>"


def _table(changes: list[Change]) -> str:
    rows = [
        (
            markdown.code(words.endpoint(change)),
            *map(markdown.text, (words.label(change), *words.figures(change))),
            SIGNS[change.verdict],
        )
        for change in changes
    ]
    return markdown.table(HEADINGS, rows, ALIGNMENT)
