"""Make text safe to print: what comes from a statement or a source may steer a terminal."""

import unicodedata

__all__ = ["line", "text"]

_STEERING = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def text(value: str) -> str:
    """Return ``value`` with line feeds kept and other steering characters written as escapes."""
    return "".join(_shown(character, keep="\n") for character in value.expandtabs(4))


def line(value: str) -> str:
    """Return ``value`` on one line, steering characters written as escapes."""
    return "".join(_shown(character, keep="") for character in value)


def _shown(character: str, keep: str) -> str:
    if character in keep or unicodedata.category(character) not in _STEERING:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"  # noqa: PLR2004 - two digits
