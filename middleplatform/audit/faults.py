"""The two ways in which the log says no: what it holds does not verify, or it cannot be written."""

from middleplatform.errors import AuditError

__all__ = ["invalid", "unwritable"]


def invalid(english: str, chinese: str) -> AuditError:
    """Make the error for something that does not verify (A002), named in both languages."""
    return AuditError("A002", what=(english, chinese))


def unwritable(detail: str) -> AuditError:
    """Make the error for a log that cannot take an entry (A001); ``detail`` is for the operator."""
    return AuditError("A001", detail=detail)
