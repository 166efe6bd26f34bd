"""Print an answer for people: table, marks with their legend, what was withheld, notes, receipt."""

from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.access.legend import mark_of
from middleplatform.access.shapes import half_width
from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import pick

if TYPE_CHECKING:  # imports the column engine, which --help must not
    import pyarrow as pa

    from middleplatform.model.result import Answer, Release

__all__ = ["show", "table"]


def show(context: Context, answer: "Answer") -> None:
    """Print ``answer``: the table on standard output, all else beneath it."""
    sealed = answer.sealed.columns if answer.sealed else ()
    hidden = frozenset(index for index, each in enumerate(sealed) if not each.type)
    context.out.print(table(answer.release, hidden))
    for line in [*_summary(context, answer), *_remarks(context, answer)]:
        context.out.print(Text(line), soft_wrap=True)


def table(release: "Release", sealed: frozenset[int] = frozenset()) -> Table:
    """Return the released rows as a table, each withheld value as the mark of its reason.

    Args:
        release: What was released.
        sealed: Numbers of the columns whose values are encrypted.
    """
    from pyarrow import types  # noqa: PLC0415 - see above

    made = Table(show_lines=False)
    for each in release.table.schema:
        numeric = types.is_decimal(each.type) or types.is_integer(each.type)
        right = numeric or types.is_floating(each.type)
        made.add_column(Text(printable.line(each.name)), justify="right" if right else "left")
    values = [column.to_pylist() for column in release.table.columns]
    reasons = [column.to_pylist() for column in release.marks.columns]
    halves = _half_widths(release)
    for row in range(release.table.num_rows):
        made.add_row(*(
            Text("***", style="dim") if number in sealed and marks[row] is None
            else _cell(column[row], marks[row]) + _margin(column[row], half[row])
            for number, (column, marks, half) in enumerate(zip(values, reasons, halves, strict=True))
        ))  # fmt: skip
    return made


def _half_widths(release: "Release") -> list[list[float | None]]:
    if release.intervals is None:
        return [[None] * release.table.num_rows for _ in release.table.columns]
    return [column.to_pylist() for column in release.intervals.columns]


def _margin(value: object, half: float | None) -> Text:
    """Return what follows a noisy value: half the width of its interval."""
    if value is None or half is None or not isfinite(half):
        return Text("")
    return Text(f" ± {half_width(half)}", style="dim")


def _cell(value: object, reason: str | None) -> Text:
    if reason is not None:
        return Text(mark_of(reason)[0], style="yellow")
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, float):
        return Text(format(value, ".10g"))
    return Text(printable.line(format(value, "f") if isinstance(value, Decimal) else str(value)))


def _summary(context: Context, answer: "Answer") -> list[str]:
    say, release = context.say, answer.release
    rows = release.table.num_rows
    lines = [say(f"{rows} rows", f"{rows} 行")]
    used = {reason for column in _reasons(release.marks) for reason in column}
    used |= {each.reason for each in release.withheld}
    if used:
        lines.append(say("Withheld values:", "被抑制的值："))
    for reason in sorted(used):
        sign, meaning = mark_of(reason)
        lines.append(f"  {sign} {reason}: {pick(meaning, context.locale)}")
    if release.intervals is not None:
        lines.append(
            say(
                "± half the width of an interval that holds the value before noise with probability 95 %;"
                " a value without it has none that can be told",
                "± 为区间半宽，区间以 95% 的概率包含加噪前的值；未标 ± 的值无法给出区间",
            )
        )
    return lines + [
        say(
            f"  rule {each.rule}, {each.reason}: {each.cells} values",
            f"  规则 {each.rule}，{each.reason}：{each.cells} 个值",
        )
        for each in release.withheld
    ]


def _reasons(marks: "pa.Table") -> list[list[str]]:
    return [[each for each in column.to_pylist() if each] for column in marks.columns]


def _remarks(context: Context, answer: "Answer") -> list[str]:
    say, receipt = context.say, answer.receipt
    lines = [
        f"{say('note', '说明')}: {printable.line(pick(note, context.locale))}"
        for note in answer.release.notes
    ]
    lines.append(f"{say('protocol', '协议')}: {answer.protocol}")
    if answer.sealed is not None:
        lines.append(
            say(
                f"*** is sealed for key {answer.sealed.key_id}; ask with --json > answer.json, then:"
                " middleplatform open answer.json",
                f"*** 已为密钥 {answer.sealed.key_id} 密封；请以 --json > answer.json 查询，然后运行"
                " middleplatform open answer.json",
            )
        )
    lines.append(f"{say('data quality', '数据质量')}: {answer.quality:.2f}")
    lines.append(
        say(
            f"receipt: audit entry {receipt.index}, leaf {receipt.leaf_hash}",
            f"回执：审计记录 {receipt.index}，叶哈希 {receipt.leaf_hash}",
        )
    )
    return lines
