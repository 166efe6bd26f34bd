"""Registering a department's connectors: map, test, profile, publish; and what a node then opens.

Everything here runs inside the department. Only ``NAME.published.json`` is made to leave it.

Guide: docs/howto/register-a-connector.md.
"""
