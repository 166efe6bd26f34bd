"""What an answer and ``explain`` say of the way in which values are released (tier), and who imposed it."""

from collections.abc import Iterable
from math import pi, sqrt

from middleplatform.model.decision import Decision
from middleplatform.model.policy import Bundle, DisclosureParameters
from middleplatform.model.request import QueryRequest

__all__ = ["method_notes", "method_owner"]

Note = tuple[str, str]


def method_owner(bundle: Bundle, datasets: Iterable[str], method: str) -> str:
    """Return the department whose dataset imposes ``method``; empty where none does."""
    rules = [bundle.datasets[name] for name in datasets if name in bundle.datasets]
    return next((rule.owner for rule in rules if rule.disclosure.method == method), "")


def method_notes(
    request: QueryRequest, decision: Decision, bundle: Bundle, datasets: Iterable[str]
) -> tuple[Note, ...]:
    """Return (English, Chinese) sentences on how values are protected; made from policy and statement alone.

    Args:
        request: As it came in.
        decision: On it.
        bundle: The policy.
        datasets: That the statement reads.
    """
    parameters = decision.disclosure
    if request.noise:
        return ()  # a differentially private answer says so itself, with its error
    owner = method_owner(bundle, datasets, parameters.method) or "the platform"
    imposed = (f", as {owner} rules", f"（由 {owner} 规定）")
    said = _SAID.get(parameters.method)
    if said is None or parameters.min_units <= 1:
        return ()
    english, chinese = said(parameters)
    return ((f"{english}{imposed[0]}.", f"{chinese}{imposed[1]}。"),)


def _perturb(parameters: DisclosureParameters) -> Note:
    # The mean absolute value of a normal variable of that variance; the table's own differs by a few percent.
    error = sqrt(2 * parameters.noise_variance / pi)
    return (
        (
            f"Counts of units are perturbed by cell key, by at most {parameters.noise_max} and by about {error:.1f}"
            " on average; sums with them, means follow from both; the same units always get the same"
        ),
        (
            f"单元计数按单元格密钥扰动，最多 {parameters.noise_max}，平均约 {error:.1f}；"
            "合计随之扰动，均值由二者得出；相同单元集合的扰动始终相同"
        ),
    )


def _table(parameters: DisclosureParameters) -> Note:
    return (
        (
            "Values are exact; further ones are withheld until no withheld one can be told from totals to within"
            f" {parameters.interval_percent} %"
        ),
        f"数值精确发布；并作二次抑制，使任何被抑制值都不能由合计推断到 {parameters.interval_percent}% 以内",
    )


def _noise(parameters: DisclosureParameters) -> Note:
    del parameters
    return (
        "Answered with differential privacy only (--noise)",
        "仅以差分隐私方式作答（--noise）",
    )


_SAID = {"perturb": _perturb, "table": _table, "noise": _noise}
