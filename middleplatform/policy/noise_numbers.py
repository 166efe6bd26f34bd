"""Which numbers of a perturbation of counts have a table.

Spec: docs/spec/disclosure.md, "Perturbation".
"""

from middleplatform.model.policy import DisclosureParameters

__all__ = ["NO_TABLE", "has_table"]

NO_TABLE = (
    "no perturbation of counts has these noise_max, noise_variance and noise_js",
    "noise_max、noise_variance 与 noise_js 的组合无法生成计数扰动表",
)


def has_table(parameters: DisclosureParameters) -> bool:
    """Say whether every count has noise of mean 0 and the variance demanded, where none in the gap is shown.

    A count j in the gap goes to 0 or beyond the gap, so its variance is at least ``j (gap + 1 - j)``; a count of 1 has
    room for ``reach`` at most; the first count beyond the gap goes down to 0 only. Where two policies have a table, so
    have the larger of each of their numbers.
    """
    reach, variance = parameters.noise_max, parameters.noise_variance
    gap = parameters.noise_js
    least = max(count * (gap + 1 - count) for count in range(gap + 1))
    return least <= variance <= reach and (not gap or reach > gap)
