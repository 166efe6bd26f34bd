"""The command line: tables for people, ``--json`` for programs.

Reaches the platform through the gateway only, and does not see ``web``.

Reference: docs/reference/cli.md.
"""
