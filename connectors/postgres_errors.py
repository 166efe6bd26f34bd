"""From what PostgreSQL and its driver say to the kinds of the SPI, by SQLSTATE and never by text.

Source: PostgreSQL documentation, appendix A, "PostgreSQL Error Codes".
"""

from adbc_driver_manager import AdbcStatusCode, Error

from connectors.spi import ConnectorError, ErrorKind

__all__ = ["connector_error", "is_gone"]

_STATES: tuple[tuple[str, ErrorKind], ...] = (
    ("57014", ErrorKind.TIMEOUT),  # query_canceled: the server's own clock, or its administrator
    ("57", ErrorKind.UNREACHABLE),  # it shuts down, starts or crashed
    ("55P03", ErrorKind.LOCKED),
    ("53300", ErrorKind.UNREACHABLE),  # too many connections
    ("53", ErrorKind.LIMIT),  # memory, disk, temporary files
    ("54", ErrorKind.LIMIT),
    ("3D000", ErrorKind.MISSING),
    ("3F000", ErrorKind.MISSING),
    ("42501", ErrorKind.REFUSED),  # the role may not: asking again does not help
    ("42601", ErrorKind.REFUSED),
    ("25006", ErrorKind.REFUSED),  # it would write
    ("25001", ErrorKind.REFUSED),  # it would make its transaction a writing one
    ("42", ErrorKind.SCHEMA),
    ("28", ErrorKind.UNREACHABLE),
    ("25P03", ErrorKind.TIMEOUT),  # idle in a transaction for too long
    ("08", ErrorKind.UNREACHABLE),
)
_QUERY = "Query was:"


def connector_error(error: Error | OSError) -> ConnectorError:
    """Return what to raise, ``from None``, for an error of the driver.

    Args:
        error: As the driver raised it; its text may quote rows.
    """
    detail = str(error).split(_QUERY)[0].strip()
    if is_gone(error):
        return ConnectorError(ErrorKind.UNREACHABLE, detail)
    return ConnectorError(_kind(_state(error)), detail)


def is_gone(error: Error | OSError) -> bool:
    """Tell whether the connection itself failed, so that another may do better."""
    state = _state(error)
    if state:
        return state.startswith(("08", "57P"))
    broken = (AdbcStatusCode.IO, AdbcStatusCode.INVALID_STATE)
    return isinstance(error, OSError) or error.status_code in broken


def _state(error: Error | OSError) -> str:
    return (error.sqlstate or "") if isinstance(error, Error) else ""


def _kind(state: str) -> ErrorKind:
    return next((kind for known, kind in _STATES if state.startswith(known)), ErrorKind.FAILED)
