"""Tell an error: what, by which rule, whose, where in the statement, and what would pass."""

from rich.text import Text

from middleplatform.access.problems import CLASSES, problem, reasons_of
from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.excerpt import excerpt
from middleplatform.cli.locale import pick
from middleplatform.errors import MiddleplatformError
from middleplatform.model.decision import Reason, Span

__all__ = ["exit_code_of", "reason_lines", "tell"]


def tell(context: Context, error: MiddleplatformError, sql: str = "") -> int:
    """Print ``error`` and return its exit code.

    A program gets the problem document on standard output, a person sentences on standard error.

    Args:
        context: Where to print.
        error: What happened.
        sql: The statement, where there is one.
    """
    if context.as_json:
        context.emit(problem(error, context.locale))
        return error.exit_code
    title = f"{error.code}  {pick(CLASSES[error.code[0]], context.locale)}"
    context.err.print(Text(title, style="bold red"))
    reasons = reasons_of(error)
    for line in [
        *_message(error, context.locale),
        *(reason_lines(reasons[0], sql, context) if reasons else _place(sql, _stated(error, sql))),
        *_closing(error, reasons, context),
    ]:
        context.err.print(Text("  " + line), soft_wrap=True)
    return error.exit_code


def _message(error: MiddleplatformError, locale: str) -> list[str]:
    return printable.text(error.message(locale)).split("\n")


def exit_code_of(code: str) -> int:
    """Return the exit code of an error code's class."""
    for each in MiddleplatformError.__subclasses__():
        if code.startswith(each.prefix):
            return each.exit_code
    return MiddleplatformError.exit_code


def reason_lines(reason: Reason, sql: str, context: Context) -> list[str]:
    """Return what a reason says, and its place in ``sql``."""
    say = context.say
    facts = (
        (say("rule", "规则"), reason.rule),
        (say("what", "原因"), pick(reason.what, context.locale)),
        (say("column", "列"), reason.column),
        (say("owner", "提供部门"), reason.owner),
        (say("policy version", "策略版本"), reason.policy_version),
    )
    lines = [f"{name}: {printable.line(value)}" for name, value in facts if value]
    return lines + _place(sql, reason.span)


def _closing(
    error: MiddleplatformError, reasons: tuple[Reason, ...], context: Context
) -> list[str]:
    say = context.say
    lines = []
    hint = pick(reasons[0].hint, context.locale) if reasons else ""
    if shown := printable.text(hint or error.hint(context.locale)):
        lines += (say("instead: ", "可行写法：") + shown).split("\n")
    for other in reasons[1:]:
        what = printable.line(pick(other.what, context.locale))
        lines.append(f"{say('also', '另有')} {other.rule}: {what} {other.column}".rstrip())
    index = getattr(error, "audit_index", None)
    if index is not None:
        lines.append(f"{say('audit entry', '审计记录')}: {index}")
    return lines


def _place(sql: str, span: Span | None) -> list[str]:
    return excerpt(sql, span) if sql and span is not None else []


def _stated(error: MiddleplatformError, sql: str) -> Span | None:
    """Return the place that a syntax error names by line and column (both from 1)."""
    line, column = error.parts.get("line"), error.parts.get("column")
    lines = sql.splitlines(keepends=True)
    if not isinstance(line, int) or not isinstance(column, int) or not 1 <= line <= len(lines):
        return None
    start = sum(map(len, lines[: line - 1])) + max(0, min(column, len(lines[line - 1])) - 1)
    return Span(start, start + 1, line, column)
