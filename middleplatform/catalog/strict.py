"""Strict YAML under a published schema, for a department's other documents: one way to read, one way to complain."""

from policies.documents import read
from policies.schemas import breaches

__all__ = ["read_strict"]


def read_strict(name: str, text: bytes, schema: str) -> tuple[object, tuple[str, str]]:
    """Parse ``text`` and hold it against a published schema.

    Args:
        name: File name, for the problems.
        text: At most 4 MB of UTF-8; no tags, anchors or duplicate keys.
        schema: Name of the schema in ``policies/schema``.

    Returns:
        The value, and all problems in English and in Chinese, one a line; both empty when there are none.
    """
    document, problems = read(name, text)
    found = problems or breaches(document, schema)
    english, chinese = ("\n".join(each.text(locale) for each in found) for locale in ("en", "zh"))
    return document.value, (english, chinese)
