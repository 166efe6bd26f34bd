"""What an application yields: grants as a bundle writes them, one for each provider. Pure.

Nobody gets more than a provider granted of its own columns: departments, subjects and purpose are the
application's, columns, operations, regions and time the answer's. Columns that are shared unconditionally
yield no grant, since they need none: were one tightened later, a grant that nobody approved would open it.

Spec: docs/spec/grants.md, "What is granted".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from middleplatform.governance.applications import Answer, Lane, Part, State
from middleplatform.model.policy import Grant

__all__ = ["Granted", "as_written", "granted"]


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant and the provider whose columns it opens; of no other department's data does it open any.

    Attributes:
        provider: Department.
        grant: As in a bundle.
    """

    provider: str
    grant: Grant


def granted(state: State) -> tuple[Granted, ...]:
    """Return what may be used now as far as people have said; time is judged by each grant's own bounds."""
    if state.withdrawn or state.suspended:
        return ()
    found = (_of(state, part) for part in state.parts.values() if not part.stopped)
    return tuple(each for each in found if each is not None)


def _of(state: State, part: Part) -> Granted | None:
    wanted = state.application
    given = part.answer
    starts = wanted.starts
    if wanted.lane is Lane.EMERGENCY:
        approved = bool(state.officer and part.approved_by)
        given = (
            Answer(part.columns, wanted.operations, wanted.regions, wanted.ends)
            if approved
            else None
        )
    elif part.answered_at is not None:
        starts = max(starts, part.answered_at)
    if given is None or not given.columns:
        return None
    grant = Grant(
        id=_number(state, part),
        departments=frozenset({wanted.department}),
        subjects=wanted.subjects,
        purposes=frozenset({wanted.purpose}),
        columns=given.columns,
        operations=given.operations,
        regions=tuple(sorted(given.regions)),
        starts=starts,
        ends=given.ends,
        basis=wanted.basis,
    )
    return Granted(part.department, grant)


def _number(state: State, part: Part) -> str:
    again = f"/{part.answers}" if part.answers > 1 else ""
    return f"{state.number}/{part.department}{again}"


def as_written(state: State, each: Granted) -> Mapping[str, object]:
    """Return a grant as a bundle's YAML has it; ``policy.grants.build`` gives the same grant back."""
    grant, part = each.grant, state.parts[each.provider]
    approved = {part.answered_by, part.approved_by, state.officer} - {""}
    raw: dict[str, object] = {"id": grant.id, "departments": sorted(grant.departments)}
    if grant.subjects:
        raw["subjects"] = sorted(grant.subjects)
    return raw | {
        "purposes": sorted(grant.purposes),
        "columns": sorted(grant.columns),
        "operations": sorted(grant.operations),
        "regions": list(grant.regions),
        "starts": grant.starts.isoformat(),
        "ends": grant.ends.isoformat(),
        "basis": grant.basis,
        "scenario": state.application.scenario,
        "approved_by": sorted(approved),
    }
