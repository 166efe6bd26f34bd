"""The JSON shape in which approved query templates are listed, the same by every door.

Reference: docs/reference/rest.md.
"""

from collections.abc import Iterable, Mapping

from middleplatform.errors import QueryError
from middleplatform.policy.templates import Offer
from middleplatform.sql.forms import filled

__all__ = ["example", "templates"]


def example(offer: Offer, chosen: Mapping[str, str] | None = None) -> str:
    """Return a template's statement with the first permitted literal in each place.

    Args:
        offer: The template.
        chosen: Literals by name that go before the first; one that is not permitted counts as not chosen.
    """
    wanted = {} if chosen is None else chosen
    values = {
        name: wanted[name] if wanted.get(name) in permitted else permitted[0]
        for name, permitted in offer.template.parameters
    }
    try:
        return filled(offer.template.sql, values)
    except (
        QueryError
    ):  # no SQL: of a bundle that nobody checked. One such must not hide the others.
        return offer.template.sql


def templates(offers: Iterable[Offer], locale: str) -> list[Mapping[str, object]]:
    """Return templates as JSON; literals as they are written in SQL.

    Args:
        offers: Those that are open to who asks.
        locale: ``en`` or ``zh``.
    """
    return [_template(each, locale) for each in offers]


def _template(offer: Offer, locale: str) -> Mapping[str, object]:
    found = offer.template
    return {
        "name": found.name,
        "title": found.title_zh if locale == "zh" else found.title_en,
        "purposes": [each.code for each in offer.purposes],
        "parameters": [{"name": name, "values": list(values)} for name, values in found.parameters],
        "sql": found.sql,
        "example": example(offer),
        "basis": found.basis,
        "until": found.ends.isoformat(),
    }
