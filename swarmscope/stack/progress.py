"""Shows progress while the stack starts and stops."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

STYLES = {
    "ready": "green",
    "running": "green",
    "elsewhere": "dim",
    "waiting": "dim",
    "retrying": "yellow",
    "failed": "red",
    "absent": "yellow",
}


class Progress:
    """A live table on a terminal; otherwise a line for each service that becomes ready."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._rows: dict[str, tuple[str, str]] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def set(self, name: str, state: str, detail: str = "") -> None:
        """Show that *name* is in *state* now."""
        if state == "ready":
            detail = f"{self.seconds:.1f} s"
        before, self._rows[name] = self._rows.get(name), (state, detail)
        if self._console.is_terminal or before == (state, detail):
            return
        if state == "ready":
            self._console.print(f"{name} is ready ({detail})", soft_wrap=True)
        if state == "retrying":
            self._console.print(f"{name} is waiting: {detail}", soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, (state, detail) in self._rows.items():
            style = STYLES.get(state, "cyan")
            mark = Spinner("dots", style=style) if state == "starting" else Text("•", style)
            table.add_row(mark, name, Text(state, style), Text(detail, "dim"))
        return table

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
