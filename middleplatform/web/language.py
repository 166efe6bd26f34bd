"""Negotiate language and media type (RFC 9110, sections 12.5.1 and 12.5.4)."""

from collections.abc import Iterator

__all__ = ["locale_of", "media_type_of"]

_PREFERENCES_MAX = 32


def locale_of(header: str) -> str:
    """Return ``"zh"`` where ``Accept-Language`` prefers Chinese to English, else ``"en"``."""
    chinese = english = -1.0
    for name, quality in _preferences(header):
        primary = name.partition("-")[0]
        if primary == "zh":
            chinese = max(chinese, quality)
        elif primary == "en":
            english = max(english, quality)
    return "zh" if chinese > max(english, 0.0) else "en"


def media_type_of(header: str, offered: tuple[str, ...]) -> str:
    """Return the best of ``offered`` by ``Accept``, the first for no wish, empty for none of them.

    Args:
        header: As received; empty when absent.
        offered: Media types, in the order in which they are offered.
    """
    wishes = dict(_preferences(header)) or {"*/*": 1.0}
    best, found = 0.0, ""
    for kind in offered:
        group = kind.partition("/")[0] + "/*"
        quality = wishes.get(kind, wishes.get(group, wishes.get("*/*", 0.0)))
        if quality > best:
            best, found = quality, kind
    return found


def _preferences(header: str) -> Iterator[tuple[str, float]]:
    for part in header.split(",", _PREFERENCES_MAX)[:_PREFERENCES_MAX]:
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name:
            yield name, next(map(_quality, parameters), 1.0)


def _quality(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
