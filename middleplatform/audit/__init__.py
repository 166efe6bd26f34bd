"""The accountability log: append-only, signed, checkable by anybody.

Layer 4, with I/O. May import errors, ports, model and settings; no other stage. Start with
``log.AuditLog``; an auditor starts with ``verify.py``, which imports nothing of ours.

Spec: docs/spec/audit-log.md
"""
