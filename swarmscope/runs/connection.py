"""The type of a connection to the runs database."""

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
