"""The demonstration: the twelve questions, the region-spanning ones, and everything that must be refused.

Asks the demo bundle's own test suite through the gateway, prints what came of it, and writes the report.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bar
from rich.progress import TaskID
from rich.table import Table

from middleplatform.access.shapes import half_width
from middleplatform.demo.departments import Departments, running
from middleplatform.demo.shown import Shown
from middleplatform.errors import ConfigError, MiddleplatformError
from middleplatform.model.decision import Reason
from middleplatform.policy import suite
from middleplatform.policy.examples import example
from middleplatform.policy.suite import Case
from middleplatform.settings import Settings

__all__ = ["run"]

_ASSUMES = "Departments' rows were joined in private"
"""Every private join says so; shown once."""
_TEXTS = {
    "title": (
        "Usable but invisible: five departments, six counties, one question at a time",
        "数据可用不可见：五个部门、六个区县，逐题作答",
    ),
    "question": ("question", "问题"),
    "build": ("departments' databases", "部门数据库"),
    "start": ("departments' nodes", "部门节点"),
    "refused": ("refused", "拒绝"),
    "rule": ("rule", "规则"),
    "why": ("why", "原因"),
    "withheld": ("withheld", "已抑制"),
    "parties": ("took part", "参与方"),
    "sealed": ("sealed, opened by its recipient", "密封，由接收人打开"),
    "key": ("the recipient's key", "接收人密钥"),
    "entry": ("log entry", "日志序号"),
    "wrong": ("did not end as it must", "结果与预期不符"),
    "done": (
        "{right} of {all} ended as they must; the log has {entries} entries and verifies.",
        "{all} 项中 {right} 项符合预期；日志共 {entries} 条，校验通过。",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One case and what came of it."""

    id: str
    case: Case
    answer: Shown | None
    error: MiddleplatformError | None

    @property
    def status(self) -> str:
        """Return ``answered``, ``refused`` or ``failed``."""
        if self.answer is not None:
            return "answered"
        assert self.error is not None
        return (
            "refused"
            if self.error.prefix in ("Q", "P", "D") or self.error.code == "S011"
            else "failed"
        )

    @property
    def right(self) -> bool:
        """Say whether it ended as it must."""
        if self.case.expect == "refuse":
            return (
                self.error is not None
                and self.error.rule == self.case.rule
                and self.case.code in ("", self.error.code)
            )
        if self.answer is None or self.answer.sealed is not self.case.sealed:
            return False
        given = "local" if self.answer.protocol == "own" else self.answer.protocol
        return self.case.protocol in ("", given)

    def row(self) -> dict[str, object]:
        """Return its line of the report."""
        answer, error = self.answer, self.error
        return {
            "id": self.id,
            "question": self.case.note,
            "sql": self.case.sql,
            "status": self.status,
            "protocol": "" if answer is None else answer.protocol,
            "parties": [] if answer is None else list(answer.parties),
            "sealed": answer is not None and answer.sealed,
            "columns": [] if answer is None else answer.table.column_names,
            "rows": [] if answer is None else _rows(answer.table),
            "intervals": None
            if answer is None or answer.intervals is None
            else _rows(answer.intervals),
            "suppressed": 0 if answer is None else sum(each.cells for each in answer.withheld),
            "code": "" if error is None else error.code,
            "rule": "" if error is None else error.rule,
            "audit_index": answer.entry
            if answer is not None
            else error.audit_index
            if error is not None
            else None,
            "persona": self.case.subject.id,
            "purpose": self.case.purpose,
            "as_expected": self.right,
        }


def run(settings: Settings, report: Path, console: Console, locale: str) -> int:
    """Ask everything, print it, write the report.

    Args:
        settings: Where databases and log lie.
        report: JSON file to write.
        console: Where to print.
        locale: ``"en"`` or ``"zh"``.

    Returns:
        0 when every case ended as it must, else 1.

    Raises:
        ConfigError: C011 when the report cannot be written.
    """
    console.rule(_text("title", locale))
    with _started(settings, console, locale) as departments:
        console.print(departments.where[1 if locale == "zh" else 0], style="dim")
        platform = departments.platform
        cases = list(_cases())
        outcomes: list[Outcome] = []
        with Bar(console=console, transient=True) as bar:
            task = bar.add_task(_text("question", locale), total=len(cases))
            for number, case in cases:
                outcomes.append(asyncio.run(_ask(departments, number, case)))
                bar.advance(task)
        entries = platform.gateway.audit.verify()
    _print(outcomes, console, locale)
    _write(report, outcomes)
    right = sum(each.right for each in outcomes)
    console.print(_text("done", locale).format(right=right, all=len(outcomes), entries=entries))
    return 0 if right == len(outcomes) else 1


@contextlib.contextmanager
def _started(settings: Settings, console: Console, locale: str) -> Iterator[Departments]:
    """Start the departments with a bar."""
    with contextlib.ExitStack() as opened:
        with Bar(console=console, transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def progress(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(_text(stage, locale), total=total)
                bar.update(tasks[stage], completed=done)

            departments = opened.enter_context(running(settings, progress))
        yield departments


def _cases() -> Iterator[tuple[str, Case]]:
    """Yield the suite's cases under the numbers of the questions they show."""
    seen: dict[str, int] = {}
    for case in (case for each in suite.load(example("demo")) for case in each.cases):
        # The emergency grant lasted thirty days; the suite judges it at a moment within them.
        if case.purpose == "emergency":
            continue
        stem, _, variant = case.id.partition("-")
        number = stem.removeprefix("Q").lstrip("0") if stem.startswith("Q") else stem
        seen[number] = seen.get(number, 0) + 1
        yield (f"{number}-{variant}" if seen[number] > 1 and variant else number), case


async def _ask(departments: Departments, number: str, case: Case) -> Outcome:
    try:
        return Outcome(number, case, await departments.ask(case, number), None)
    except MiddleplatformError as error:
        return Outcome(number, case, None, error)


# --- printing -----------------------------------------------------------------------------------------------------


def _text(name: str, locale: str) -> str:
    return _TEXTS.get(name, (name, name))[1 if locale == "zh" else 0]


def _print(outcomes: Sequence[Outcome], console: Console, locale: str) -> None:
    said: set[tuple[str, str]] = set()
    for each in outcomes:
        if each.answer is not None:
            _print_answer(each, each.answer, console, locale, said)
    refused = Table(title=_text("refused", locale), show_lines=False)
    for name in (
        "id",
        _text("question", locale),
        _text("rule", locale),
        "code",
        _text("why", locale),
        _text("entry", locale),
    ):
        refused.add_column(name, overflow="fold")
    for each in outcomes:
        if each.error is not None:
            refused.add_row(
                each.id,
                escape(each.case.note or _one_line(each.case.sql)),
                each.error.rule,
                each.error.code,
                escape(_why(each.error, locale)),
                str(each.error.audit_index),
            )
    console.print(refused)
    for each in outcomes:
        if not each.right:
            console.print(
                f"[bold red]{each.id}: {_text('wrong', locale)}[/]",
                each.status,
                each.error.code if each.error else "",
                each.error.rule if each.error else "",
            )


def _print_answer(
    outcome: Outcome, answer: Shown, console: Console, locale: str, said: set[tuple[str, str]]
) -> None:
    """Print one answer; ``said`` has the assumptions that were told before."""
    how = ", ".join([answer.protocol, *([_text("sealed", locale)] if answer.sealed else [])])
    console.print(
        f"\n[bold]{outcome.id}. {escape(outcome.case.note)}[/]  ({outcome.case.subject.id}, {how})"
    )
    shown = Table()
    values, marks = answer.table, answer.marks
    for name in values.column_names:
        shown.add_column(
            escape(name),
            justify="right"
            if pa.types.is_floating(values[name].type) or pa.types.is_integer(values[name].type)
            else "left",
        )
    rows = _rows(values)
    blank: list[list[object]] = [[None] * len(row) for row in rows]
    halves = blank if answer.intervals is None else _rows(answer.intervals)
    for row, marked, half in zip(rows, _rows(marks), halves, strict=True):
        shown.add_row(
            *(
                f"■ {mark}" if mark else escape(_cell(value)) + _margin(value, width)
                for value, mark, width in zip(row, marked, half, strict=True)
            )
        )
    console.print(shown)
    told = [
        f"{_text('withheld', locale)}: {each.cells} × {each.reason} ({each.rule})"
        for each in answer.withheld
    ]
    if answer.protocol == "private_join":
        told.append(f"{_text('parties', locale)}: {', '.join(answer.parties)}")
    told += [note[1 if locale == "zh" else 0] for note in answer.notes if note not in said]
    said |= {note for note in answer.notes if note[0].startswith(_ASSUMES)}
    console.print(
        escape("; ".join([*told, f"{_text('entry', locale)} {answer.entry}"])), style="dim"
    )


def _one_line(sql: str) -> str:
    return " ".join(sql.split())


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _margin(value: object, half: object) -> str:
    return f" ± {half_width(half)}" if value is not None and isinstance(half, float) else ""


def _why(error: MiddleplatformError, locale: str) -> str:
    first = error.reasons[0] if error.reasons else None
    if isinstance(first, Reason):
        return first.what[1 if locale == "zh" else 0]
    return error.message(locale)


def _rows(table: pa.Table) -> list[list[object]]:
    columns = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return (
            int(value)
            if value == value.to_integral_value() and value.as_tuple().exponent == 0
            else str(value)
        )
    return value.isoformat() if isinstance(value, date) else value


def _write(report: Path, outcomes: Sequence[Outcome]) -> None:
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([each.row() for each in outcomes], ensure_ascii=False, indent=2)
        report.write_text(text + "\n", encoding="utf-8")
    except OSError:
        raise ConfigError("C011", what=str(report)) from None
