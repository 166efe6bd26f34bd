"""What an entry of the log says, in words of both languages: how an answer was protected, who answers for what.

Spec: docs/spec/decision-report.md. Decree 809 art. 34: 谁管理谁负责、谁使用谁负责.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from middleplatform.model.catalog import Catalog

__all__ = ["parties", "protections"]

_METHODS = {
    "exact": ("values are exact where the rules let them leave", "符合规则的值以精确值发布"),
    "table": ("secondary suppression withstands linear programming", "次级抑制可抵御线性规划攻击"),
    "perturb": (
        "values are perturbed by cell key: counts by {noise_max} at most, with variance {noise_variance}",
        "按单元格密钥扰动：计数最多改变 {noise_max}，方差 {noise_variance}",
    ),
    "noise": ("differential privacy", "差分隐私"),
}
_PROVIDES = ("answers for the data it provides", "对所提供的数据负责（谁管理谁负责）")
_USES = ("answers for the use of the answer", "对答案的使用负责（谁使用谁负责）")
_ARTICLE = "政务数据共享条例第三十四条"


def protections(body: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return how an answer was protected, one sentence each; nothing for a refusal."""
    return [{"en": english, "zh": chinese} for english, chinese in _protections(body)]


def _protections(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rules = body.get("disclosure")
    if not isinstance(rules, dict):
        return
    k = rules.get("min_units", 1)
    yield (
        f"threshold: at least {k} protected units behind every cell",
        f"阈值：每个单元格至少涉及 {k} 个受保护单位",
    )
    for count, percent in rules.get("dominance", ()):
        yield (
            f"dominance: the {count} largest units make up at most {percent} % of a sum",
            f"支配规则：最大的 {count} 个单位合计不超过 {percent}%",
        )
    if percent := rules.get("p_percent", 0):
        yield f"p % rule: {percent} %", f"p% 规则：{percent}%"
    if rules.get("homogeneity"):
        yield "cells of none or all are withheld", "全无或全有的单元格不予发布"
    if rules.get("history"):
        yield "compared with what was released before", "与以往发布的结果比对"
    english, chinese = _METHODS.get(rules.get("method", ""), ("method not told", "方法未说明"))
    known = {name: rules.get(name, "?") for name in ("noise_max", "noise_variance")}
    yield english.format_map(known), chinese.format_map(known)
    yield from _ways(body)


def _ways(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if body.get("protocol"):
        yield f"protocol between departments: {body['protocol']}", f"跨部门协议：{body['protocol']}"
    if body.get("budget") not in (None, "", "0"):
        yield f"privacy budget spent: rho {body['budget']}", f"消耗隐私预算：rho {body['budget']}"
    if body.get("sealed_for"):
        yield "values left sealed for the recipient's key", "值以接收方公钥密封后发布"
    for duty in body.get("obligations", ()):
        said = " ".join(str(part) for part in duty)
        yield f"rewritten before it ran: {said}", f"执行前改写：{said}"


def parties(body: Mapping[str, Any], catalog: Catalog) -> list[dict[str, object]]:
    """Return who answers for what: providers with their datasets and receipts, then the department that uses it."""
    used = body.get("datasets", ())
    owners = {catalog.datasets[name].owner for name in used if name in catalog.datasets}
    receipts = _receipts(body.get("fragments", ()))
    found = [
        _party(name, "provider", _PROVIDES, catalog)
        | {
            "datasets": [each for each in used if _owner(each, catalog) == name],
            "receipts": receipts.get(name, []),
        }
        for name in sorted(owners | receipts.keys())
    ]
    user = str(body.get("recipient") or body.get("department") or "")
    return [*found, _party(user, "user", _USES, catalog)]


def _owner(dataset: str, catalog: Catalog) -> str:
    known = catalog.datasets.get(dataset)
    return known.owner if known else dataset.partition(".")[0]


def _receipts(fragments: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for fragment in fragments:
        for name, receipt in fragment.get("receipts", {}).items():
            found.setdefault(name, []).append(receipt)
    return found


def _party(
    code: str, role: str, duty: tuple[str, str], catalog: Catalog
) -> dict[str, object]:  # fmt: skip
    known = catalog.departments.get(code)
    return {
        "department": code, "role": role,
        "name_en": known.name_en if known else code, "name_zh": known.name_zh if known else code,
        "answers_en": duty[0], "answers_zh": duty[1], "article": _ARTICLE,
    }  # fmt: skip
