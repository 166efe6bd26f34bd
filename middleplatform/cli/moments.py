"""Moments as a command line says them."""

from datetime import UTC, datetime

from middleplatform.errors import QueryError

__all__ = ["moment"]


def moment(text: str | None) -> datetime | None:
    """Read a date or time of the command line; UTC unless it has an offset.

    Raises:
        QueryError: Q040.
    """
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        what = (f"{text} is no date or time", f"{text} 不是日期或时间")
        raise QueryError("Q040", what=what) from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
