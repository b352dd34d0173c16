"""Puts the server end where an app's gunicorn loads it: a volume that the app's container mounts.

``python -m swarmscope.container.lend DIRECTORY`` runs in our image. In the app's, whose environment
stays as it is, ``gunicorn --config DIRECTORY/gunicorn.conf.py`` then measures the app.
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("swarmscope", "prometheus_client", "prometheus_flask_exporter", "sqlparse")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "shipped")
CONF = '''"""Measures a Flask app; see swarmscope.server.serve."""

import sys
from pathlib import Path

_packages = str(Path(__file__).parent / "packages")
if _packages not in sys.path:
    sys.path.append(_packages)  # last: what the app's environment has is used from there

from swarmscope.server.serve import *
'''


def lend(directory: Path) -> None:
    """Write a conf file of gunicorn's to *directory*, and the packages that it needs.

    What is there is overwritten, file by file: an app may be running from it.
    """
    for name in PACKAGES:
        spec = find_spec(name)
        assert spec
        assert spec.submodule_search_locations
        source = next(iter(spec.submodule_search_locations))
        target = directory / "packages" / name
        shutil.copytree(source, target, ignore=LEFT_OUT, dirs_exist_ok=True)
    (directory / "gunicorn.conf.py").write_text(CONF)


if __name__ == "__main__":
    lend(Path(sys.argv[1]))
