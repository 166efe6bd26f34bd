"""How the lines of a bundle's files end: browsers send all of them alike, and nobody changes what he does not mean to.

Spec: docs/spec/policy-lifecycle.md, "Classification".
"""

import re
from collections.abc import Mapping

__all__ = ["kept", "only_windows", "windows"]

_BREAK = re.compile("\r\n|\n")


def only_windows(text: str) -> bool:
    """Say whether a text has lines and all of them end as they do under Windows."""
    return set(_BREAK.findall(text)) == {"\r\n"}


def windows(text: str) -> str:
    """Return a text whose lines all end as they do under Windows."""
    return _BREAK.sub("\r\n", text)


def kept(files: Mapping[str, str], standing: Mapping[str, str]) -> dict[str, str]:
    """Return ``files`` with the line ends that files of the same names in ``standing`` have."""
    return {
        name: windows(text) if only_windows(standing.get(name, "")) else text
        for name, text in files.items()
    }
