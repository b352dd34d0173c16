"""What ``check`` writes beside its table: JUnit's XML, Markdown, and the summary of a job."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from swarmscope import atomic_files
from swarmscope.runs import markdown, outcomes
from swarmscope.runs.compare import markdown as comparison_markdown
from swarmscope.runs.compare import words
from swarmscope.runs.compare.judged import JudgedComparison
from swarmscope.runs.outcomes import Regression
from swarmscope.runs.thresholds import (
    CANNOT_TELL,
    CHECK_FAILED,
    FAILED,
    NOT_JUDGED,
    PASSED,
    CheckResult,
)

STANDARD_OUTPUT = Path("-")
VERDICTS = {0: PASSED, CHECK_FAILED: FAILED, CANNOT_TELL: NOT_JUDGED}


@dataclass(frozen=True)
class Checked(CheckResult):
    """What `check --json` prints; *comparison* is that with the baseline, if there is one."""

    plan: str = ""
    comparison: JudgedComparison | None = None

    def regression(self, baseline: str) -> Regression | None:
        """Return whether the run regressed from *baseline*; None unless that was asked."""
        compared = self.comparison
        if not compared or compared.max_regression is None:
            return None
        name = f"no regression by more than {compared.max_regression * 100:g} % from {baseline}"
        return Regression(name, VERDICTS[compared.status], " ".join(words.verdict(compared)))


@dataclass(frozen=True)
class Files:
    """The files that were asked for, and what goes into them."""

    junit: Path | None
    markdown: Path | None
    title: str
    report_url: str
    as_json: bool

    @property
    def prints(self) -> bool:
        """Whether the Markdown goes to standard output."""
        return self.markdown == STANDARD_OUTPUT

    def refuse_unwritable(self) -> None:
        """Raise an error in one line before anything is judged in vain."""
        if self.prints and self.as_json:
            raise click.UsageError("give --json or --markdown -, not both")
        for file in (self.junit, None if self.prints else self.markdown):
            if file:
                atomic_files.check(file)

    def write(self, found: Checked, baseline: str) -> None:
        """Write them, and add to the summary of GitHub's job; *baseline* is what users call it."""
        if self.junit:
            regression = found.regression(baseline)
            content = outcomes.junit(found.outcomes, found.run, found.findings, regression)
            atomic_files.write(self.junit, content)
        compared = found.comparison
        sections = [comparison_markdown.section(compared, baseline)] if compared else []
        text = markdown.of_check(found, self.title or found.plan, sections, self.report_url)
        if self.prints:
            click.echo(text, nl=False)
        elif self.markdown:
            atomic_files.write(self.markdown, text)
        outcomes.publish(text, os.environ)
