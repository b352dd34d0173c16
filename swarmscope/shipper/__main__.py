"""Run the shipper: ``python -m swarmscope.shipper DIRECTORY``; Locust starts it, never people."""

from swarmscope.shipper.process import main

main()
