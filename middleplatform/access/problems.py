"""Problems as RFC 9457 describes them, one shape for every door.

Made from the error table, the reasons and the query alone; never from data, never from a library's
text.

Spec: RFC 9457; reference docs/reference/errors.md.
"""

from collections.abc import Mapping

from middleplatform.errors import CODES, Code, MiddleplatformError
from middleplatform.model.decision import Reason, Span

__all__ = ["CLASSES", "problem", "reason_shape", "reasons_of", "type_of"]

CLASSES: Mapping[str, tuple[str, str]] = {
    "Q": ("The request cannot be taken", "请求无法受理"),
    "P": ("Refused by policy", "策略拒绝"),
    "D": ("The answer would disclose", "答案可能泄露信息"),
    "S": ("A department's source failed", "部门数据源故障"),
    "X": ("A protocol was ended", "协议已终止"),
    "L": ("A limit was reached", "已达上限"),
    "A": ("The audit log cannot serve", "审计日志不可用"),
    "C": ("The configuration is refused", "配置有误"),
}
"""What each class of codes says in general: (English, Chinese)."""


def type_of(code: Code | str) -> str:
    """Return the problem type of a code: a path on the platform that describes it."""
    return f"/v1/errors/{code if isinstance(code, str) else code.code}"


def reasons_of(error: MiddleplatformError) -> tuple[Reason, ...]:
    """Return the reasons that the gateway attached to ``error``, the one that is told first."""
    return tuple(getattr(error, "reasons", None) or ())


def problem(
    error: MiddleplatformError, locale: str, *, status: int | None = None, instance: str = ""
) -> dict[str, object]:
    """Return the problem document of ``error``, JSON-ready.

    Args:
        error: What happened.
        locale: ``"en"`` or ``"zh"``; of title, detail and hint.
        status: HTTP status; the error's own unless said.
        instance: What it happened to, e.g. ``/v1/queries/<id>``; left out when empty.
    """
    reasons = reasons_of(error)
    first = reasons[0] if reasons else None
    value: dict[str, object] = {
        "type": type_of(error.code),
        "title": _pick(CLASSES[error.code[0]], locale),
        "status": error.http_status if status is None else status,
        "detail": error.message(locale),
        "code": error.code,
        "name": CODES[error.code].name,
        "rule": error.rule or (first.rule if first else ""),
        "span": _span(first.span) if first else None,
        "hint": (_pick(first.hint, locale) if first else "") or error.hint(locale),
        "retry": error.retry,
        "reasons": [reason_shape(each, locale) for each in reasons],
        "audit_index": getattr(error, "audit_index", None),
    }
    return value | ({"instance": instance} if instance else {})


def reason_shape(reason: Reason, locale: str) -> dict[str, object]:
    """Return one reason in ``locale``, JSON-ready."""
    return {
        "rule": reason.rule,
        "what": _pick(reason.what, locale),
        "column": reason.column,
        "owner": reason.owner,
        "policy_version": reason.policy_version,
        "span": _span(reason.span),
        "hint": _pick(reason.hint, locale),
    }


def _span(span: Span | None) -> dict[str, int] | None:
    if span is None:
        return None
    return {"start": span.start, "end": span.end, "line": span.line, "column": span.column}


def _pick(pair: tuple[str, str], locale: str) -> str:
    return pair[1] if locale == "zh" else pair[0]
