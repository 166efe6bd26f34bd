"""Show a place in a statement: its line with carets beneath, aligned also under wide characters."""

from rich.cells import cell_len

from middleplatform.cli.printable import line as shown_line
from middleplatform.model.decision import Span

__all__ = ["excerpt"]

_BEFORE, _SHOWN = 48, 96  # characters of a long line before the place, and in all


def excerpt(sql: str, span: Span) -> list[str]:
    """Return the line of ``span`` and the line of carets; nothing when it lies outside ``sql``.

    Args:
        sql: The statement as typed.
        span: Character offsets, half open; what goes on below its first line is not underlined.
    """
    if not 0 <= span.start <= len(sql):
        return []
    first = sql.rfind("\n", 0, span.start) + 1
    last = sql.find("\n", span.start)
    last = len(sql) if last < 0 else last
    number = sql.count("\n", 0, span.start) + 1
    left = max(first, span.start - _BEFORE) if last - first > _SHOWN else first
    right = min(last, left + _SHOWN)
    end = min(max(span.end, span.start + 1), right)
    before = shown_line(sql[left : span.start])
    marked = shown_line(sql[span.start : end])
    after = shown_line(sql[end:right].rstrip("\r"))
    lead = "…" if left > first else ""
    head = f"{number:>4} | "
    carets = "^" * max(1, cell_len(marked))
    return [
        f"{head}{lead}{before}{marked}{after}{'…' if right < last else ''}",
        f"{' ' * (len(head) - 2)}| {' ' * cell_len(lead + before)}{carets}",
    ]
