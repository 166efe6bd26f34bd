"""What happens to an application once it is there: one command for each act."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from middleplatform.cli.applying import opened_handling
from middleplatform.cli.context import Context
from middleplatform.cli.grant_views import words
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf
from middleplatform.cli.person import add_person, person

if TYPE_CHECKING:
    from datetime import datetime

    from middleplatform.governance.applications import Answer, Event, State
    from middleplatform.governance.handling import Handling
    from middleplatform.model.request import Subject

__all__ = ["add", "tell"]


def add(mine: Commands, say: Say) -> None:
    """Declare them."""
    for name, text in (
        ("sign", say("Sign your department's application", "签署本部门申请")),
        ("accept", say("Find it complete: the term to answer starts", "受理：答复期限起算")),
        ("deliver", say("Say that your node serves what was granted", "登记已提供数据")),
        ("approve", say("Approve an emergency", "批准应急申请")),
    ):  # fmt: skip
        _leaf(mine, say, name, text)
    text = say("Return it once, with all that is missing", "一次性告知需补充的材料")
    made = _leaf(mine, say, "return", text)
    made.add_argument("--missing", action="append", required=True, metavar="TEXT",
                      help=say("what is missing, repeatable", "需补充的材料，可重复"))  # fmt: skip
    _add_answer(mine, say)
    made = _leaf(mine, say, "extend", say("Ask for an extension, or consent to one", "申请或同意延期"))  # fmt: skip
    made.add_argument("--days", type=int, default=0, help=say("working days", "工作日数"))
    made.add_argument("--reason", default="", help=say("why", "理由"))
    text = say("as data bureau: consent to this provider's", "作为主管部门同意该提供部门的延期")
    made.add_argument("--consent", metavar="DEPARTMENT", help=text)
    for name, text in (
        ("suspend", say("Stop access at once", "立即暂停使用")),
        ("resume", say("End a suspension", "恢复使用")),
        ("withdraw", say("End it for good", "撤回")),
        ("escalate", say("Take a dispute one step up", "将争议提交上一级")),
        ("settle", say("End a dispute", "了结争议")),
        ("object", say("Dispute a refusal, lateness or suspension", "对答复、逾期或暂停提出异议")),
        ("review", say("Review an emergency grant that has ended", "复核已结束的应急授权")),
    ):  # fmt: skip
        made = _leaf(mine, say, name, text)
        made.add_argument(
            "--reason", required=True, help=say("why, or what was found", "理由或结论")
        )
        if name in ("suspend", "withdraw"):
            made.add_argument("--basis", default="", help=say("the law it rests on", "依据"))
        if name == "object":
            made.add_argument("--with", dest="provider", required=True, metavar="DEPARTMENT",
                              help=say("the provider", "提供部门"))  # fmt: skip


def _add_answer(mine: Commands, say: Say) -> None:
    made = _leaf(mine, say, "answer", say("Answer for your department's data", "答复本部门数据的申请"))  # fmt: skip
    how = made.add_mutually_exclusive_group(required=True)
    how.add_argument("--all", action="store_true", help=say("grant all of it", "全部同意"))
    how.add_argument("--refuse", action="store_true", help=say("refuse", "不予共享"))
    how.add_argument("--part", action="store_true", help=say("grant less, as the options say", "部分同意"))  # fmt: skip
    for name, text in (
        ("column", say("a column that is granted, repeatable; all unless said", "同意的数据项，可重复；默认全部")),
        ("operation", say("an operation, repeatable; all unless said", "同意的操作，可重复；默认全部")),
        ("region", say("a region, repeatable; all unless said", "同意的区域，可重复；默认全部")),
    ):  # fmt: skip
        made.add_argument(f"--{name}", action="append", metavar=name.upper(), help=text)
    made.add_argument("--until", metavar="TIME", help=say("an earlier end", "更早的截止时间"))
    made.add_argument("--reason", default="", help=say("why not all", "不同意或部分同意的理由"))
    made.add_argument("--basis", default="", help=say("the law it rests on", "依据"))


def _leaf(mine: Commands, say: Say, name: str, text: str) -> argparse.ArgumentParser:
    def run(context: Context, options: argparse.Namespace) -> int:
        from middleplatform.governance.handling import number_of  # noqa: PLC0415 - slow to import

        who = person(context, options)
        with opened_handling(context) as handling:
            state = handling.act(
                number_of(options.number), who,
                lambda state, now: _event(name, handling, options, who, state, now),
            )  # fmt: skip
            return tell(context, handling, state)

    made = leaf(mine, say, name, run, text)
    add_person(made, say)
    made.add_argument("number", metavar="NUMBER", help=say("its number, e.g. GX7", "编号，如 GX7"))
    return made


def tell(context: Context, handling: "Handling", state: "State") -> int:
    """Print what an application is now; return the exit code."""
    from middleplatform.governance.told import told  # noqa: PLC0415 - slow to import

    now = handling.desk.clock.now()
    shown = told(state, handling.rules, now)
    if context.as_json:
        context.emit(shown)
        return 0
    phase = words(str(state.phase(now)), context.say)
    context.write(f"{state.number}\n")
    context.tell(f"{state.number}: {phase}.", f"{state.number}：{phase}。")
    return 0


# --- the acts -----------------------------------------------------------------------------------------------------


def _event(
    name: str,
    handling: "Handling",
    options: argparse.Namespace,
    who: "Subject",
    state: "State",
    now: "datetime",
) -> "Event":
    """Return what the act of that name makes of the application, or let it refuse."""
    from middleplatform.governance import acts, stopping  # noqa: PLC0415 - slow to import

    rules, said = handling.rules, vars(options)
    reason, basis = said.get("reason", ""), said.get("basis", "")
    do: dict[str, Callable[[], Event]] = {
        "sign": lambda: acts.sign(state, who, now),
        "accept": lambda: acts.accept(state, who, now),
        "return": lambda: acts.send_back(state, options.missing, who, now),
        "answer": lambda: acts.answer(state, _given(options, who, state), who, now),
        "deliver": lambda: acts.deliver(state, who, now),
        "extend": lambda: (
            acts.extend(state, options.days, reason, who, now, rules)
            if options.consent is None
            else acts.consent(state, options.consent, who, now, rules)
        ),
        "approve": lambda: stopping.approve(state, who, now),
        "suspend": lambda: stopping.suspend(state, reason, who, now, basis),
        "resume": lambda: stopping.resume(state, reason, who, now),
        "withdraw": lambda: stopping.withdraw(state, reason, who, now, basis),
        "object": lambda: stopping.object_to(state, options.provider, reason, who, now, rules),
        "escalate": lambda: stopping.escalate(state, reason, who, now),
        "settle": lambda: stopping.settle(state, reason, who, now),
        "review": lambda: stopping.review(state, reason, who, now),
    }
    return do[name]()


def _given(options: argparse.Namespace, who: "Subject", state: "State") -> "Answer":
    from middleplatform.governance.applications import Answer  # noqa: PLC0415 - slow to import
    from middleplatform.governance.wanting import when  # noqa: PLC0415 - the same

    wanted, part = state.application, state.parts.get(who.department)
    all_of = part.columns if part is not None else frozenset()
    if options.refuse:
        return Answer(frozenset(), frozenset(), (), wanted.ends, options.reason, options.basis)
    if options.all:
        return Answer(all_of, wanted.operations, wanted.regions, wanted.ends)
    return Answer(
        frozenset(options.column or all_of),
        frozenset(options.operation or wanted.operations),
        tuple(sorted(options.region or wanted.regions)),
        when(options.until) if options.until else wanted.ends,
        options.reason,
        options.basis,
    )
