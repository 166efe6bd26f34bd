"""From a connector's error to the platform's code: total, and without a word of the driver's text."""

from connectors.spi import ConnectorError, ErrorKind
from middleplatform.errors import ConfigError, LimitError, MiddleplatformError, SourceError

__all__ = ["mapped"]

_GONE = (
    "a table, column or type that the statement needs is missing",
    "缺少语句所需的表、列或类型",
)


_SILENT = "the source failed; what it said may quote a value: middleplatform connector test tells its engineer"


def mapped(error: ConnectorError, department: str, dataset: str) -> MiddleplatformError:
    """Return the platform's error for a connector's.

    Args:
        error: What the connector raised; its detail goes to the operator's log only.
        department: Whose source it is.
        dataset: Which table was asked, for schema drift.

    Reveals:
        The kind of failure and the department, never a value or a driver's message.
    """
    match error.kind:
        case ErrorKind.MISSING:
            return ConfigError("C004", detail=error.detail, department=department)
        case ErrorKind.LOCKED:
            return ConfigError("C005", detail=error.detail, department=department)
        case ErrorKind.UNREACHABLE:
            return SourceError("S001", detail=error.detail, department=department)
        case ErrorKind.TIMEOUT:
            return SourceError("S002", detail=error.detail, department=department)
        case ErrorKind.SCHEMA:
            return SourceError(
                "S010", detail=error.detail, department=department, dataset=dataset, what=_GONE
            )
        case ErrorKind.LIMIT:
            return LimitError("L002", detail=error.detail, limit="the node's limit of")
        case ErrorKind.CANCELLED:
            return LimitError("L003", detail=error.detail)
        case ErrorKind.REFUSED | ErrorKind.FAILED:
            # An engine that fails on a value quotes it, and whoever runs the node has no right to it either.
            detail = error.detail if error.kind is ErrorKind.REFUSED else _SILENT
            return SourceError("S003", detail=detail, department=department)
