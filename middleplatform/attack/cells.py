"""Attacks on tables: rare combinations, cells that were suppressed, groups of one kind, two snapshots."""

import numpy as np

from middleplatform.attack.batches import difference, filtered
from middleplatform.attack.known import Evidence, Known
from middleplatform.attack.people import DATASET, RARE
from middleplatform.attack.surface import Surface

__all__ = ["GROUP", "homogeneity", "linkage", "snapshot", "suppressed"]

_TOLD = 6.0
_HALF = 0.5
GROUP = ("street", "sex")
"""Of the tables that are asked of two snapshots."""


def linkage(known: Known, surface: Surface) -> Evidence:
    """Ask for the cell in which the target is alone, and where that is withheld for all but that cell."""
    named = ("street", "occupation", "birth_year")
    said = ", ".join(named)
    cells = surface.table(
        f"SELECT {said}, COUNT(*) AS n, SUM(benefit) AS s FROM {DATASET} GROUP BY {said}",
        3,
    )
    everybody = filtered(surface, ["benefit > 0"])[0]
    alone = [f"{known.base(each)} AND {known.isolates(each)}" for each in known.targets]
    others = filtered(surface, [f"NOT ({each}) AND benefit > 0" for each in alone])
    found = []
    for person, rest in zip(known.targets, others, strict=True):
        label = tuple(str(known.plain[name][person]) for name in named)
        _, amount = cells.get(label, [None, None])
        if amount is not None:
            found.append(_TOLD if amount > 0 else -_TOLD)
        else:
            found.append(known.counted(difference(everybody, rest)))
    return np.array(found)


def suppressed(known: Known, surface: Surface) -> Evidence:
    """Take the shown cells off the margins: what is left is the cell that was suppressed.

    The targets are those who alone in their street have their status. One table shows the status of nearly all
    beside it, which is shown; another the two together.
    """
    seen: dict[tuple[str, str], float] = {}
    for code in RARE:
        some = f"FROM {DATASET} WHERE status IN ('1', '{code}')"
        margins = surface.table(f"SELECT street, SUM(benefit) AS s {some} GROUP BY street", 1)
        inside = surface.table(
            f"SELECT street, status, SUM(benefit) AS s {some} GROUP BY street, status", 2
        )
        for (street,), (total,) in margins.items():
            shown = inside.get((street, "1"), [None])[0]
            rest = difference(total, shown)
            if rest is not None:
                seen[street, code] = rest
    of, has = known.plain["street"], known.plain["status"]
    return np.array([known.summed(seen.get((of[each], has[each]))) for each in known.targets])


def homogeneity(known: Known, surface: Surface) -> Evidence:
    """Look for workplaces in which all get the benefit, in counts and in the reasons why a count is withheld.

    What a reason means the attacker learns from the accomplices' workplaces.
    """
    text = (
        "SELECT workplace, COUNT(*) AS n, COUNT(*) FILTER (WHERE benefit > 0) AS k,"
        f" COUNT(*) FILTER (WHERE benefit <= 0) AS z FROM {DATASET} GROUP BY workplace"
    )
    seen = surface.ask(text)
    reasons = {(row, column): reason for row, column, reason in seen.marks}
    signs: dict[str, object] = {}
    for place, row in enumerate(seen.rows):
        count, paid = row[1], row[2]
        share = round(float(paid) / float(count), 1) if count and paid is not None else None
        signs[str(row[0])] = (share, reasons.get((place, 2)), reasons.get((place, 3)))
    workplace = known.plain["workplace"]
    return calibrated(
        known,
        [signs.get(workplace[each]) for each in known.targets],
        [signs.get(workplace[each]) for each in known.accomplices],
    )


def calibrated(known: Known, of_targets: list[object], of_accomplices: list[object]) -> Evidence:
    """Return what signs say, learnt from people whose secret is known: an accomplice more or less is no proof."""
    found = []
    yes, no = int(known.told.sum()), int((~known.told).sum())
    for sign in of_targets:
        same = np.array([each == sign for each in of_accomplices], dtype=np.bool_)
        with_it, without = int((same & known.told).sum()), int((same & ~known.told).sum())
        likelier = (with_it + _HALF) / (yes + 1), (without + _HALF) / (no + 1)
        found.append(float(np.log(likelier[0] / likelier[1])) if with_it + without else 0.0)
    return np.array(found)


def snapshot(surface: Surface) -> dict[tuple[str, ...], float | None]:
    """Return the sums of a plain table, to be compared with those of another day."""
    said = ", ".join(GROUP)
    text = f"SELECT {said}, SUM(benefit) AS s FROM {DATASET} GROUP BY {said}"
    return {label: amount for label, (amount,) in surface.table(text, len(GROUP)).items()}
