"""What a node decides about a fragment: nothing is permitted that its own file or the published policy keeps back.

Both are asked, and the rules merged of both; the numbers of the decision are the merged ones. Where the department's
own file would change what an answer means without the gateway knowing (rows left out, noise of another kind), or where
a round's totals are judged by the gateway alone, the node refuses.

Spec: docs/spec/node.md, "Policy".
"""

import json
from dataclasses import dataclass, replace

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.authorization.sealed import release_refusals
from middleplatform.errors import ProtocolError
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Fragment
from middleplatform.model.policy import Bundle, DisclosureParameters
from middleplatform.model.query import QueryFacts
from middleplatform.node.held_policies import Rules
from middleplatform.policy import evaluate

__all__ = ["Verdict", "decoded", "judged"]

_OWN = "the department's own policy"
_NOISES = ("noise_max", "noise_variance", "noise_js", "magnitude_percent", "privacy")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided.

    Attributes:
        decision: By the merged rules.
        rule: That refuses; empty where it is permitted.
        detail: Why, for the operator's log.
    """

    decision: Decision
    rule: str = ""
    detail: str = ""


def judged(
    facts: QueryFacts,
    asking: Asking,
    rules: Rules,
    catalog: Catalog,
    *,
    sealed: bool = False,
    together: bool = False,
) -> Verdict:
    """Decide about a fragment.

    Args:
        facts: Read from its text.
        asking: Who asks, and why.
        rules: Of the version that its question began under.
        catalog: The node's own.
        sealed: Whether values would leave encrypted.
        together: Whether several departments answer, and the gateway judges their totals.

    Reveals:
        Nothing by itself: the rule, to the gateway, by who refuses with it.
    """
    made = [authorize(facts, asking, bundle, catalog) for bundle in rules.each]
    numbers = made[0].disclosure
    if (
        len(made) > 1
    ):  # inside its department, grants of only one of the two may lift a steward's threshold
        numbers = evaluate.strictest([each.disclosure for each in made])
    decision = replace(made[0], disclosure=numbers)
    for bundle, each in zip(rules.each, made, strict=True):
        refused = _refusal(facts, asking, bundle, each, sealed=sealed)
        if refused is not None:
            by = "" if bundle is rules.document else f", by {_OWN} or both"
            return Verdict(decision, refused[0], refused[1] + by)
    if rules.own is not None and not asking.inside:
        reason = _untold(decision, made[-1], together=together)
        if reason:
            return Verdict(decision, "R5", f"{_OWN} {reason}")
    return Verdict(decision)


def _refusal(
    facts: QueryFacts, asking: Asking, bundle: Bundle, decision: Decision, *, sealed: bool
) -> tuple[str, str] | None:
    if not decision.permit:
        return decision.reasons[0].rule, decision.reasons[0].what[0]
    refused = release_refusals(facts, bundle, sealed=sealed)
    if refused and not asking.inside:
        return refused[0].rule, refused[0].what[0]
    if any(duty.kind in ("band", "bucket") for duty in decision.obligations):
        return "R4", "a fragment that is finer than policy allows"
    return None


def _untold(decision: Decision, stated: Decision, *, together: bool) -> str:
    """Return what the gateway would not know of, if the stricter rules were applied in silence."""
    known = {(each.kind, each.dataset, each.column, each.argument) for each in stated.obligations}
    duties = {
        (each.kind, each.dataset, each.column, each.argument) for each in decision.obligations
    }
    if not duties <= known:
        return "leaves out rows that the published one does not"
    if together and decision.disclosure != stated.disclosure:
        return "has stricter numbers than totals would be judged by"
    if _told(decision.disclosure) != _told(stated.disclosure):
        return "protects values in another way"
    return ""


def _told(parameters: DisclosureParameters) -> tuple[object, ...]:
    """Return what an answer tells about how its values were protected."""
    return (parameters.method, *(getattr(parameters, name) for name in _NOISES))


def decoded(raw: bytes) -> Fragment:
    """Return the fragment that ``raw`` is.

    Raises:
        ProtocolError: X001 it is none, or not in the one form.

    Reveals:
        That, to the gateway.
    """
    try:
        fragment = Fragment.from_mapping(json.loads(raw))
        same = fragment.to_bytes() == raw
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ProtocolError("X001", detail="a malformed fragment") from None
    if not same:
        raise ProtocolError("X001", detail="a fragment that is not canonical")
    return fragment
