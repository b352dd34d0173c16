"""What a check found as Markdown: for a comment on a pull request and for a job's summary.

Names come from whoever wrote the scenario or the service, so nothing of them is markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from swarmscope.formatting import printable
from swarmscope.runs import outcomes
from swarmscope.runs.thresholds import (
    CANNOT_TELL,
    CHECK_FAILED,
    FAILED,
    PASSED,
    CheckResult,
    Outcome,
)

MAX_LENGTH = 60_000  # GitHub takes comments of at most 65,536 characters
MAX_ROWS = 40  # of a table
MAX_CHARACTERS = 80  # of a cell
MAX_TEXT = 500  # characters of a sentence
MAX_TEXTS = 12  # sentences
VERDICTS = {0: "✅ passed", CHECK_FAILED: "❌ failed", CANNOT_TELL: "⚠️ not judged"}
RANKS = {FAILED: 0, PASSED: 2}  # of rows, where not all are shown

# What is no markup in GitHub's Markdown or GitLab's, wherever it is: words, and punctuation inside
# figures and between words. `www.` and `1.` at the start of a line would be markup.
_HARMLESS = re.compile(
    r"[^\W_]|[ ,;?/()'–≤≥→±]|(?<=\d)%(?!\w)|(?<=\d )%(?!\w)|(?<=[^\W_])-(?=[^\W_])|[+-](?=\d)"
    r"|(?<=[^\W_])(?<![wW]{3})\.(?=[^\W_])|(?<=\d\d):(?=\d\d(?!\d))|(?<=[^\W\d_]|[)%])[.:](?= |$)"
)


def of_check(
    found: CheckResult, title: str = "", sections: Iterable[str] = (), link: str = ""
) -> str:
    """Return *found* with more *sections*; *link* is the URL of the report.

    The first line is `marker`, by which whoever posts it finds the comment to be updated.
    """
    name = title or "Load test"
    about = [f"Run {text(found.run)}"] if found.run else []
    about += [f"[report](<{url(link)}>)"] if link else []
    blocks = [
        f"{marker(title)}\n### {text(name)}: {VERDICTS[found.status]}",
        *sentences(found.findings),
        table(outcomes.HEADINGS, _rows(found.outcomes), outcomes.ALIGNMENT),
        *sentences([*outcomes.reasons(found.outcomes), *found.notes]),
        *sections,
        " · ".join(about),
    ]
    return "\n\n".join(_fitting(filter(None, blocks))) + "\n"


def _fitting(blocks: Iterable[str]) -> Iterator[str]:
    """Yield *blocks*, but for those that would make the whole too long."""
    left, is_all = MAX_LENGTH, True
    for block in blocks:
        if len(block) < left:
            left -= len(block)
            yield block
        else:
            is_all = False
    if not is_all:
        yield "More is left out, which would be too long for a comment."


def marker(title: str) -> str:
    """Return a comment that readers do not see: the same for all runs with the same title."""
    return f"<!-- swarmscope check: {quote(title, safe='')} -->"


def _rows(found: Sequence[Outcome]) -> list[tuple[str, ...]]:
    if len(found) > MAX_ROWS:
        found = sorted(found, key=lambda outcome: RANKS.get(outcome.verdict, 1))
    rows = map(outcomes.cells, found)
    return [(code(name), *map(text, others)) for name, *others in rows]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> str:
    """Return *rows* of Markdown as a table, at most `MAX_ROWS` of them; '' without rows.

    *alignment* has ``<`` or ``>`` for each column.
    """
    if not rows:
        return ""
    rules = ["---:" if side == ">" else "---" for side in alignment]
    lines = [f"| {' | '.join(row)} |" for row in (headings, rules, *rows[:MAX_ROWS])]
    more = len(rows) - MAX_ROWS
    return "\n".join(lines) + (f"\n\n{more:,} more rows are left out." if more > 0 else "")


def sentences(texts: Sequence[str]) -> list[str]:
    """Return *texts* as paragraphs, each and all together not too long."""
    more = len(texts) - MAX_TEXTS
    shown = [text(sentence, MAX_TEXT) for sentence in texts[:MAX_TEXTS]]
    return [*shown, f"{more:,} more sentences are left out."] if more > 0 else shown


def code(raw: str) -> str:
    """Return a name in code style, in which ``@people`` and ``#1`` are no references."""
    return f"<code>{text(raw)}</code>"


def text(raw: str, max_characters: int = MAX_CHARACTERS) -> str:
    """Return *raw* so that Markdown sees nothing but characters in it.

    A character reference is never markup (CommonMark 0.31, 2.5). References to people and issues
    are looked for in the rendered text, so an empty comment splits them.
    """
    line = printable(raw)
    if len(line) > max_characters:
        line = line[: max_characters - 1] + "…"
    return "".join(_literal(line, place) for place in range(len(line)))


def _literal(line: str, place: int) -> str:
    if _HARMLESS.match(line, place):
        return line[place]
    reference = f"&#{ord(line[place])};"
    return f"{reference}<!-- -->" if line[place] in "@#" else reference


def url(raw: str) -> str:
    """Return an address for a link; what ends one in Markdown is percent-encoded."""
    return quote(raw, safe=":/?#[]@!$&'()*+,;=%~")
