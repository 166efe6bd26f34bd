"""Progress on standard error, only where a person looks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from middleplatform.cli.locale import Say
from middleplatform.ports import Progress as Hears

__all__ = ["shown"]

_STAGES: Mapping[str, str] = {
    "parse": "解析", "qualify": "限定", "authorize": "授权", "plan": "规划", "dispatch": "分发",
    "combine": "合并", "disclose": "披露控制", "audit": "审计", "build": "建立部门数据",
    "simulate": "模拟",
}  # fmt: skip


@contextmanager
def shown(console: Console, say: Say) -> Iterator[Hears | None]:
    """Lend a progress display, or None where nobody looks."""
    if not console.is_terminal:
        yield None
        return
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}

    def hear(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(say(stage, _STAGES.get(stage, stage)), total=total)
        bars.update(tasks[stage], completed=done, total=total)

    with bars:
        yield hear
