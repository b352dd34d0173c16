"""Run ``swarmscope`` as ``python -m swarmscope``."""

from swarmscope.cli import main

main()
