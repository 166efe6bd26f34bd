"""Kinds of what Spark Connect reports; its own words may quote rows and go to the detail only."""

import grpc
from pyspark.errors import (
    AnalysisException,
    IllegalArgumentException,
    ParseException,
    PySparkAssertionError,
    PySparkException,
)

from connectors.spi import ConnectorError, ErrorKind

__all__ = ["SessionGone", "of", "session_is_gone"]

# Error conditions of Apache Spark by the beginning of their name (SQLSTATE groups are too coarse).
_CONDITIONS: tuple[tuple[str, ErrorKind], ...] = (
    ("PARSE_", ErrorKind.REFUSED),
    ("UNSUPPORTED_DATASOURCE_FOR_DIRECT_QUERY", ErrorKind.REFUSED),
    ("PATH_NOT_FOUND", ErrorKind.MISSING),
    ("INSUFFICIENT_PERMISSIONS", ErrorKind.UNREACHABLE),
    ("OPERATION_CANCELED", ErrorKind.CANCELLED),
    ("OPERATION_CANCELLED", ErrorKind.CANCELLED),
    ("UNABLE_TO_ACQUIRE_MEMORY", ErrorKind.LIMIT),
    ("UNRESOLVED_", ErrorKind.SCHEMA),
    ("DATATYPE_MISMATCH", ErrorKind.SCHEMA),
    ("TABLE_OR_VIEW_NOT_FOUND", ErrorKind.SCHEMA),
    ("FIELD_NOT_FOUND", ErrorKind.SCHEMA),
)
# What has no condition: the driver's bound on a result, an engine that is short of memory, a worker.
_WORDS: tuple[tuple[str, ErrorKind], ...] = (
    ("spark.driver.maxResultSize", ErrorKind.LIMIT),
    ("Resources exhausted", ErrorKind.LIMIT),
    ("OutOfMemoryError", ErrorKind.LIMIT),
    ("ConnectorError: schema", ErrorKind.SCHEMA),  # of ours, from a worker
)
_UNREACHABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,  # the channel was closed under a call
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,  # a server of another protocol
    }
)


class SessionGone(Exception):  # noqa: N818 - a signal inside the connector, never seen outside
    """The server no longer has our session: it was restarted, or the session idled too long."""


def session_is_gone(error: Exception) -> bool:
    """Return whether a new session would help."""
    if isinstance(error, SessionGone | PySparkAssertionError):
        return True
    condition = _condition(error)
    return condition.startswith("INVALID_HANDLE.SESSION_")


def of(error: Exception) -> ConnectorError:
    """Return what a connector raises for ``error``."""
    if isinstance(error, ConnectorError):
        return error
    return ConnectorError(_kind(error), f"{type(error).__name__}: {error}")


def _kind(error: Exception) -> ErrorKind:
    if session_is_gone(error) or _status(error) in _UNREACHABLE:
        return ErrorKind.UNREACHABLE
    condition = _condition(error)
    for start, kind in _CONDITIONS:
        if condition.startswith(start):
            return kind
    for words, kind in _WORDS:
        if words in str(error):
            return kind
    # Servers other than Apache Spark give no condition, but the class.
    if isinstance(error, ParseException) or _is_foreign_parse_error(error):
        return ErrorKind.REFUSED
    return ErrorKind.SCHEMA if isinstance(error, AnalysisException) else ErrorKind.FAILED


def _is_foreign_parse_error(error: Exception) -> bool:
    """Sail reports a statement that it cannot read as an invalid argument, without a condition."""
    text = str(error)
    said = text.startswith("invalid argument: found ") or "expected one statement" in text
    return isinstance(error, IllegalArgumentException) and said


def _condition(error: Exception) -> str:
    found = error.getCondition() if isinstance(error, PySparkException) else None
    return found or ""


def _status(error: Exception) -> object:
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", None)
        return code() if callable(code) else None
    return getattr(error, "_grpc_status_code", None)
