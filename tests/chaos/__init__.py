"""Proof on your own machine: goals at a steady rate, parts killed at random while they work, and then the accounts.

`make chaos`, or `python -m tests.chaos --help`; docs/chaos.md says what is counted and how.
"""
