"""What a private join would do, for the person who asks: who runs what, who sends what to whom, who learns what.

The sentences about what a party learns are those of docs/spec/private-join.md, "What every party learns".
"""

from middleplatform.crypto.blinded import route
from middleplatform.model.catalog import Catalog
from middleplatform.model.join import BLINDED, JoinPlan, Side
from middleplatform.model.plan import Block
from middleplatform.model.query import JoinKind
from middleplatform.model.result import Step
from middleplatform.planner.join_cost import declared, estimate
from middleplatform.planner.side_statement import side_statement
from middleplatform.planner.side_words import width

__all__ = ["join_steps"]

_UNITS = {"person": "人员", "firm": "企业", "household": "家庭"}
_KINDS = {
    JoinKind.INNER: ("rows that match", "仅保留匹配的行"),
    JoinKind.LEFT: ("matched where it can be", "有匹配则并入"),
    JoinKind.ANTI: ("whoever matches here is left out", "在此有匹配者排除"),
}


def join_steps(
    block: Block, plan: JoinPlan, key_holder: str, catalog: Catalog, *, sealed: bool = False
) -> list[Step]:
    """Return the steps of a private join.

    Args:
        block: What is asked.
        plan: How it is joined.
        key_holder: Party that removes the masks, or empty where the platform has none.
        catalog: For the names and types of the sides' statements.
        sealed: Whether sums leave under a recipient's key.
    """
    return [
        *_cost(plan, catalog),
        *([_recipient(plan, key_holder)] if sealed else []),
        _parties(block, plan, key_holder),
        _key(plan, key_holder),
        *[_side(block, plan, side, catalog) for side in plan.sides],
        *(_points(plan) if plan.protocol is BLINDED else []),
        _matching(plan),
        *_helpers(plan, key_holder, sealed=sealed),
        _judging(plan, sealed=sealed),
        *(_sealing(plan, key_holder) if sealed else []),
        _labels(plan, key_holder),
    ]


def _step(
    party: str, english: str, chinese: str, learns: tuple[str, str] = ("", ""), detail: str = ""
) -> Step:
    return Step("dispatch", party, (english, chinese), detail, learns)


def _cost(plan: JoinPlan, catalog: Catalog) -> list[Step]:
    """Return the estimate, where the catalogue tells the sizes of the tables."""
    cost = estimate(plan, declared(catalog))
    if cost is None:
        return []
    seconds, moved = f"{cost.seconds:.1f}", f"{cost.bytes / 2**20:.1f}"
    return [
        Step(
            "plan",
            "gateway",
            (
                f"by declared sizes: at most {cost.rows:,} rows and {moved} MiB over all links, about {seconds} s",
                f"按登记的规模估计：至多 {cost.rows:,} 行、全部链路 {moved} MiB，约 {seconds} 秒",
            ),
        )
    ]


def _everybody(plan: JoinPlan, key_holder: str) -> list[str]:
    return [*plan.departments, *([key_holder] if key_holder else [])]


def _parties(block: Block, plan: JoinPlan, key_holder: str) -> Step:
    names = _everybody(plan, key_holder)
    blinded = plan.protocol is BLINDED
    how, how_zh = ("blinded keys", "双重盲化的键") if blinded else ("a helper", "去掩码协助方")
    return _step(
        ", ".join(names),
        f"join {len(plan.sides)} sides in private by {plan.unit}, with {how}; the gateway sends each the same signed"
        f" fragment and relays their signed keys: {2 * len(names)} calls",
        f"以{_UNITS.get(plan.unit, plan.unit)}为键，对 {len(plan.sides)} 方做隐私连接（{how_zh}）；"
        f"网关向各方发送同一签名片段，并转交各方签名的公钥：{2 * len(names)} 次调用",
        ("who takes part, and the question", "参与者与问题本身"),
        block.sql,
    )  # fmt: skip


def _key(plan: JoinPlan, key_holder: str) -> Step:
    leader, *others = plan.departments
    told = ", ".join(others)
    spared = (
        ("the gateway", "网关")
        if not key_holder
        else (f"the gateway and {key_holder}", f"网关与 {key_holder}")
    )
    return _step(
        leader,
        f"draws a fresh key and seals it for {told}; {spared[0]} cannot open it",
        f"生成一次性密钥并封装给 {told}；{spared[1]}无法打开",
    )  # fmt: skip


def _side(block: Block, plan: JoinPlan, side: Side, catalog: Catalog) -> Step:
    statement = side_statement(block.cell, block.layout, plan, side.number, catalog, "postgres")
    kind, kind_zh = ("its rows", "其数据行") if not side.number else _KINDS[side.kind]
    return _step(
        ", ".join(side.departments),
        f"side {side.number + 1} ({kind}): runs this by its own policy, masks {width(side)} words a row, makes keys and"
        " labels unreadable, shuffles, and sends the gateway its list: one call, and one for each part of at most"
        " 500,000 rows",
        f"第 {side.number + 1} 方（{kind_zh}）：按自身策略执行，每行 {width(side)} 个数加掩码，键与标签不可读，"
        "打乱行序，向网关发送列表：一次调用，另每部分（至多 50 万行）一次",
        ("nothing of others' rows, keys or matches", "不知道其他方的行、键与匹配情况"),
        statement.sql,
    )  # fmt: skip


def _points(plan: JoinPlan) -> list[Step]:
    found = []
    for owner in plan.departments:
        way = route(owner, plan.departments)
        found.append(_step(
            owner,
            f"sends its blinded keys through the gateway, sealed, to {', '.join(way)}: {1 + len(way)} calls",
            f"将盲化的键经网关封装转交 {'、'.join(way)}：{1 + len(way)} 次调用",
            ("these learn how many different keys the list has", "这些部门知道列表中不同键的数量"),
        ))  # fmt: skip
    return found


def _matching(plan: JoinPlan) -> Step:
    least = plan.min_units
    return _step(
        "gateway",
        f"matches nameless rows, counts, leaves out groups of fewer than {least} units, and adds up masked words",
        f"匹配无名行、计数，排除少于 {least} 个单元的分组，相加掩码值",
        (
            "sizes of the lists, which nameless rows match, match counts of nameless groups",
            "列表长度、哪些无名行相互匹配、无名分组的匹配数",
        ),
    )


def _helpers(plan: JoinPlan, key_holder: str, *, sealed: bool) -> list[Step]:
    """Return what each helper is asked and learns."""
    asked: dict[str, list[Side]] = {}
    for side in plan.sides:
        if side.words:
            asked.setdefault(plan.helper(side.number, key_holder), []).append(side)
    masks, masks_zh = (
        ("the sums of their masks on counts", "其中计数的掩码之和")
        if sealed
        else ("the sums of their masks", "其掩码之和")
    )
    found = []
    for helper, sides in asked.items():
        owners = ", ".join(name for side in sides for name in side.departments)
        found.append(_step(
            helper,
            f"is sent places in the shuffled lists of {owners}, returns {masks}: {len(sides)} call(s)",
            f"收到 {owners} 打乱后列表中的位置，返回{masks_zh}：{len(sides)} 次调用",
            ("sizes of these lists, how many groups passed, how many rows each has",
             "这些列表的长度、达到门限的分组数量及各组行数"),
        ))  # fmt: skip
    return found


def _judging(plan: JoinPlan, *, sealed: bool) -> Step:
    least = plan.min_units
    what = (
        (
            "judges the totals by the rules of disclosure control, and, where policy keeps history, by what the project"
            " was told before"
        ),
        "对合计值执行披露控制规则，策略保留历史时并与该项目先前的答复比较",
    )
    seen, seen_zh = "totals", "合计"
    if sealed:
        what = (
            "judges counts: threshold and complement; no rule looks at a sum, which it cannot read",
            "只审查计数：阈值与补集；网关读不到合计值，不执行针对合计值的规则",
        )
        seen, seen_zh = "counts, no sum,", "计数（不含合计值）"
    learns = (
        f"{seen} of nameless groups of at least {least} units; assuming that it colludes with no department",
        f"不少于 {least} 个单元的无名分组{seen_zh}；前提是网关不与任何部门串通",
    )
    return Step("disclose", "gateway", what, "", learns)


def _recipient(plan: JoinPlan, key_holder: str) -> Step:
    names = _everybody(plan, key_holder)
    return _step(
        ", ".join(names),
        f"each is brought the recipient's published key and checks its proof: {len(names)} calls",
        f"各方收到接收人的公钥并校验其证明：{len(names)} 次调用",
        ("for whom the answer is", "结果为谁密封"),
    )


def _sealing(plan: JoinPlan, key_holder: str) -> list[Step]:
    """Return who seals; the masks of sums stay there until then."""
    return [
        _step(
            sealer,
            "kept back the masks of sums; is told what is shown, and seals that for the recipient: 1 call",
            "此前保留合计值的掩码；得知哪些值可显示后，以接收人的公钥加密：1 次调用",
            (
                "which of its nameless groups are shown, and which values of them",
                "其无名分组中哪些显示、显示其中哪些值",
            ),
        )
        for sealer in plan.sealers(key_holder)
    ]


def _labels(plan: JoinPlan, key_holder: str) -> Step:
    parties = len(_everybody(plan, key_holder))
    return _step(
        "gateway",
        f"asks for the labels of groups that are shown, and for receipts: {parties} calls",
        f"索取所示分组的标签与各方回执：{parties} 次调用",
        ("these labels", "这些标签"),
    )
