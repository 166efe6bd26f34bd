"""Every grant that an application ever yielded, also those that are withdrawn or over: a report is read years later.

The ids are those of ``governance.granted``, which gives only what holds now.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import cast

from middleplatform.accountability.figures import Case
from middleplatform.accountability.report import Approval
from middleplatform.governance.applications import Act, Event, Lane
from middleplatform.model.policy import Bundle
from middleplatform.policy.templates import build, number

__all__ = ["approved", "configured", "templates"]


def configured(bundle: Bundle) -> Iterator[Approval]:
    """Yield the grants that a bundle writes itself; scenario and approvers stand in its YAML alone."""
    raw = bundle.raw.get("grants")
    written = {each.get("id"): each for each in raw} if isinstance(raw, list) else {}
    for grant in bundle.grants:
        said = written.get(grant.id, {})
        people = tuple(str(each) for each in said.get("approved_by", ()))
        yield Approval(grant.id, grant.basis, str(said.get("scenario", "")), grant.ends, people)


def templates(raw: Mapping[str, object]) -> Iterator[Approval]:
    """Yield the templates that a policy writes: a name is one template in one policy, and maybe another in the next.

    Args:
        raw: The policy's content by top-level key, valid by the schema.
    """
    for name, each in cast("Mapping[str, Mapping[str, object]]", raw.get("templates", {})).items():
        template = build(name, each)
        people = tuple(cast("list[str]", each.get("approved_by", [])))
        title = f"{template.title_zh} · {template.title_en}"
        yield Approval(number(template), template.basis, title, template.ends, people)


def approved(case: Case) -> Iterator[Approval]:
    """Yield each grant with its basis, scenario, end and who approved it."""
    answers: Counter[str] = Counter()
    for event in case.events:
        if event.act is Act.ANSWERED:
            answers[event.department] += 1
            if event.answer is not None and event.answer.columns:
                yield _approval(case, event, answers[event.department])
    if case.state.application.lane is Lane.EMERGENCY and case.state.officer:
        for part in case.state.parts.values():
            if part.approved_by:
                people = tuple(sorted({part.approved_by, case.state.officer}))
                wanted = case.state.application
                yield Approval(
                    f"{case.state.number}/{part.department}", wanted.basis, wanted.scenario,
                    wanted.ends, people,
                )  # fmt: skip


def _approval(case: Case, event: Event, number: int) -> Approval:
    wanted = case.state.application
    again = f"/{number}" if number > 1 else ""
    name = f"{case.state.number}/{event.department}{again}"
    ends = wanted.ends if event.answer is None else event.answer.ends
    return Approval(name, wanted.basis, wanted.scenario, ends, (event.by,))
