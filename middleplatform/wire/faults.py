"""An error on its way from a node to the gateway: its code, its rule and the parts of its public message.

Nothing else of it travels: no detail, no engine's text. The gateway makes the error anew from its own table.
Spec: docs/spec/node.md, "Errors".
"""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from middleplatform import errors
from middleplatform.crypto.encoding import bad_message
from middleplatform.errors import CODES, MiddleplatformError

__all__ = ["from_fields", "to_fields"]

_TEXT_MAX = 300
_RULE = re.compile(r"[RG]\d{1,2}|")
_CLASSES = {
    each.prefix: each
    for each in (
        errors.QueryError,
        errors.PolicyError,
        errors.DisclosureError,
        errors.SourceError,
        errors.ProtocolError,
        errors.LimitError,
        errors.AuditError,
        errors.ConfigError,
    )
}


def to_fields(error: MiddleplatformError) -> dict[str, object]:
    """Return what travels of ``error``.

    Reveals:
        To the gateway: its code, its rule, and what its public message says.
    """
    named = _named(error.code)
    parts = {name: _plain(value) for name, value in error.parts.items() if name in named}
    return {"code": error.code, "rule": error.rule, "parts": parts}


def from_fields(fields: object, department: str) -> MiddleplatformError:
    """Return the error that a node's reply tells of.

    Args:
        fields: As ``to_fields`` made them, from another party: nothing in it is believed.
        department: Who replied; an error never names another.

    Raises:
        ProtocolError: X001 when it is no such thing.

    Reveals:
        Nothing.
    """
    if not isinstance(fields, Mapping) or set(fields) != {"code", "rule", "parts"}:
        raise bad_message("an error is not valid")
    code, rule, parts = fields["code"], fields["rule"], fields["parts"]
    if not isinstance(code, str) or code not in CODES or not isinstance(parts, Mapping):
        raise bad_message("an error is not valid")
    if not isinstance(rule, str) or not _RULE.fullmatch(rule):
        raise bad_message("an error has an unknown rule")
    named = _named(code)
    if set(parts) != named - {"department"} and set(parts) != named:
        raise bad_message("an error's message is not complete")
    told: dict[str, Any] = {str(name): _read(value) for name, value in parts.items()}
    if "department" in named:
        told["department"] = department
    return _CLASSES[code[0]](code, rule=rule, **told)


def _named(code: str) -> set[str]:
    """Return the parts that a code's messages name, but for the rule."""
    entry = CODES[code]
    texts = (entry.message_en, entry.message_zh)
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name} - {"rule"}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [str(each)[:_TEXT_MAX] for each in value]
    return value if type(value) is int else str(value)[:_TEXT_MAX]


def _read(value: object) -> object:
    if type(value) is int:
        return value
    if isinstance(value, str) and len(value) <= _TEXT_MAX and value.isprintable():
        return value
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 - two languages
        english, chinese = (_read(each) for each in value)
        if isinstance(english, str) and isinstance(chinese, str):
            return english, chinese
    raise bad_message("an error's message is not valid")
