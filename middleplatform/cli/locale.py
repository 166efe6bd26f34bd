"""Choose the language of messages: ``--locale``, or what the environment says."""

from collections.abc import Callable, Mapping, Sequence

__all__ = ["LOCALES", "Say", "choose", "pick", "sayer"]

LOCALES = ("en", "zh")
Say = Callable[[str, str], str]
"""Takes an English and a Chinese text and returns the one to show."""


def choose(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return ``"zh"`` or ``"en"``.

    Args:
        arguments: The command line, read before it is parsed: the help texts depend on it.
        environment: ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` count, in this order.
    """
    for place, argument in enumerate(arguments):
        name, separator, value = argument.partition("=")
        if name == "--locale":
            said = value if separator else "".join(arguments[place + 1 : place + 2])
            if said in LOCALES:
                return said
    set_ones = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    found = next(filter(None, set_ones), "")
    return "zh" if found.casefold().startswith("zh") else "en"


def sayer(locale: str) -> Say:
    """Return what picks the text of ``locale``."""
    return lambda english, chinese: chinese if locale == "zh" else english


def pick(pair: tuple[str, str], locale: str) -> str:
    """Return the text of ``locale`` out of an (English, Chinese) pair."""
    return pair[1] if locale == "zh" else pair[0]
