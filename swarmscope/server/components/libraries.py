"""Hooks the libraries that an app has imported: some methods of each are wrapped.

No import is intercepted: whether there are new modules is one comparison per request. A library
that is first imported while a request is served is hooked at the next one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

logger = logging.getLogger(__name__)


class Hooks:
    """What is wrapped in this process, and how it was before."""

    def __init__(self, libraries: dict[str, Callable[[Hooks, Any], None]]) -> None:
        """*libraries* are functions by the module that they hook."""
        self._waiting = dict(libraries)
        self._libraries = libraries
        self._wrapped: list[tuple[Any, str, Any]] = []
        self._undo: list[Callable[[], object]] = []
        self.modules = 0  # how many there were when they were last searched

    def look(self) -> None:
        """Hook what has been imported since the last call."""
        if len(sys.modules) == self.modules:
            return
        self.modules = len(sys.modules)
        for name in [name for name in self._waiting if _is_imported(sys.modules.get(name))]:
            hook = self._waiting.pop(name, None)  # None: another thread was faster
            if hook is None:
                continue
            try:
                hook(self, sys.modules[name])
            except Exception:  # a version that differs; whatever it raises, the app goes on
                logger.warning("cannot measure calls of %s", name, exc_info=True)

    def wrap(self, owner: Any, name: str, make: Wrap) -> None:
        """Replace the method *name* of *owner* by what *make* returns for it."""
        self.set(owner, name, make(getattr(owner, name)))

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Replace the attribute *name* of *owner*."""
        self._wrapped.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, value)

    def on_undo(self, undo: Callable[[], object]) -> None:
        """Call *undo* when everything is restored."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Restore what was there before; wrappers that others have put around ours go, too."""
        while self._wrapped:
            owner, name, before = self._wrapped.pop()
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        while self._undo:
            self._undo.pop()()
        self._waiting, self.modules = dict(self._libraries), 0


def _is_imported(module: ModuleType | None) -> bool:
    """Return whether *module* is there and complete: another thread may be importing it."""
    if module is None:
        return False
    return not getattr(getattr(module, "__spec__", None), "_initializing", False)
