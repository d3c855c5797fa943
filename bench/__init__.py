"""Measures muru, each time against something bare in the same run: see docs/benchmarks.md."""

HOST = "127.0.0.1"
FIRST_NUMBER = 100_000  # the extensions that are there have this number and the next ones
PASSWORD = "correct horse battery"  # of each user
