"""Intervals of a differentially private answer: how wide the noise of its values is, from layout, policy and loss.

Spec: docs/spec/differential-privacy.md, "Intervals".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import pyarrow as pa

from middleplatform.combine.released import Released, run_post
from middleplatform.combine.values import by_labels, cells_table
from middleplatform.disclosure.intervals import half_widths
from middleplatform.disclosure.privacy import Noise, noisy_words
from middleplatform.gateway.blocks import BlockAnswer
from middleplatform.model.budget import epsilon_at
from middleplatform.model.plan import Block, Layout, Plan
from middleplatform.planner.margins import MARGIN, with_margins
from middleplatform.sql.post import MARK

__all__ = ["noisy_values", "with_noise"]


def with_noise(answers: Sequence[BlockAnswer], noises: Sequence[Noise]) -> list[BlockAnswer]:
    """Return answers that say how noisy they are."""
    if not noises:
        return list(answers)
    rho, delta = sum((each.rho for each in noises), Fraction(0)), noises[0].delta
    epsilon = epsilon_at(rho, min(each.delta_epsilon for each in noises))
    shown = any(each.threshold is not None for each in noises)
    english = f"Differentially private: rho {rho}, epsilon {epsilon:.3f} at delta {float(delta):.1g} for each unit"
    chinese = f"差分隐私：每单元 rho {rho}，delta {float(delta):.1g} 时 epsilon {epsilon:.3f}"
    if shown:
        english += "; groups with few units are left out"
        chinese += "；单元过少的分组不列出"
    note = (
        f"{english}. Intervals hold the value before noise with probability 95 %.",
        f"{chinese}。区间以 95% 的概率包含加噪前的值。",
    )
    found = [replace(each, noise=noise) for each, noise in zip(answers, noises, strict=True)]
    return [replace(found[0], notes=(*found[0].notes, note)), *found[1:]]


def noisy_values(
    database: Released, plan: Plan, shown: Mapping[str, tuple[pa.Table, BlockAnswer, Block]]
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Run the statement above the boundary on noisy cells; return values, marks and half widths of intervals.

    Raises:
        LimitError: L004 it took too long.
    """
    sql, places = with_margins(plan.post_sql, plan.outputs, tuple(shown))
    cells: dict[str, tuple[pa.Table, Layout]] = {}
    for name, (table, answer, block) in shown.items():
        made = cells_table(table, block.layout, MARK)
        for index, column in enumerate(_margins(by_labels(table), answer, block)):
            made = made.append_column(f"{MARGIN}a{index}", pa.array(column, pa.float64()))
        cells[name] = made, block.layout
    names = [f"{MARGIN}{place}" for place in places]
    values, marks = run_post(database, sql, cells, [*plan.outputs, *names])
    width = len(plan.outputs)
    told = {place: values.column(width + at) for at, place in enumerate(places)}
    halves = [told.get(place, pa.nulls(values.num_rows)) for place in range(width)]
    kept = pa.table(halves, names=list(plan.outputs))
    return values.select(range(width)), marks.select(range(width)), kept


def _margins(table: pa.Table, answer: BlockAnswer, block: Block) -> list[list[float | None]]:
    assert answer.noise is not None, "asked of noisy answers only"
    names = noisy_words(block.layout)
    words = {name: [float(value or 0) for value in table[name].to_pylist()] for name in names}
    parties = len(block.departments) if block.protocol == "secure_sum" else 1
    return half_widths(block.layout, answer.noise, words, table.num_rows, parties)
