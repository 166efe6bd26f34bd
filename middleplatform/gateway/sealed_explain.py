"""What an explanation says where values leave under a recipient's key."""

from dataclasses import replace

from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Explanation, Step

__all__ = ["sealed_explanation"]

_RECEIVES = {
    "local": (
        ("receives labels, marks and ciphertexts", "收到标签、抑制标记与密文"),
        ("labels and marks; no value", "标签与抑制标记，不知道任何数值"),
    ),
    "secure_sum": (
        (
            "adds the departments' ciphertexts; units and rows by nameless group come by secure sum",
            "将各部门密文相加；无名分组的单元数与行数经安全求和得到",
        ),
        (
            (
                "units and rows of nameless groups, in how many departments a magnitude rule applies,"
                " and labels of those groups that survive; no magnitude"
            ),
            "无名分组的单元数与行数、在几个部门触发数值规则，以及保留分组的标签；不知道任何数值",
        ),
    ),
}
_TOTALS = (
    "the released values, totals over all departments; no department's own part",
    "已发布的数值（各部门合计），不知道任何一个部门自己的部分",
)
_OPENS = {
    "private_join": (
        "the released values, totals over rows that match; no row, and no withheld value",
        "已发布的数值（匹配行的合计），不知道任何一行，也不知道被抑制的数值",
    ),
}


def sealed_explanation(found: Explanation, request: QueryRequest) -> Explanation:
    """Return an explanation as it is for a sealed answer; a plain one's is returned as it is."""
    if not request.sealed_for or found.verdict != "permit":
        return found
    steps = found.steps
    if found.protocol in _RECEIVES:  # a private join's steps say it themselves
        what, learns = _RECEIVES[found.protocol]
        steps = tuple(
            replace(step, what=what, learns=learns)
            if (step.stage, step.party) == ("dispatch", "gateway")
            else step
            for step in found.steps
        )
    opening = Step(
        "open",
        "recipient",
        (
            "opens the answer on the own machine: middleplatform open",
            "在本人机器上打开结果：middleplatform open",
        ),
        f"key {request.sealed_for}",
        _OPENS.get(found.protocol, _TOTALS),
    )
    return replace(found, steps=(*steps, opening))
