"""The REST interface under ``/v1``.

Reaches the platform through the gateway only, and does not see ``cli``.

Reference: docs/reference/rest.md.
"""
