"""Differencing: two populations, one of which lacks one person; their answers differ by his."""

from collections.abc import Callable

import numpy as np

from middleplatform.attack.batches import difference, filtered, paid
from middleplatform.attack.known import Evidence, Known
from middleplatform.attack.surface import Surface

__all__ = ["collusion", "differencing", "repetition", "splitting"]

_SPELLINGS: tuple[Callable[[str, str], str], ...] = (
    lambda base, one: f"{base} AND NOT ({one})",
    lambda base, one: f"NOT ({one}) AND {base} AND birth_year > 1900",
    lambda base, one: f"{base} AND birth_year < 2100 AND NOT ({one} AND sex IN ('1', '2'))",
)
"""One population, three texts."""
_GROUPS = (
    ("occupation",), ("county",), ("workplace",), ("county", "status"), ("occupation", "status"),
    ("workplace", "status"), ("status",), ("county", "sex"),
)  # fmt: skip
"""Groups of the target in which his absence is looked for."""


def differencing(known: Known, surface: Surface) -> Evidence:
    """Ask how many of an occupation get the benefit, and how many of it but the target."""
    whole = _bases(known, surface, "{}")
    less = filtered(surface, [paid(_SPELLINGS[0](*_both(known, each))) for each in known.targets])
    return np.array(
        [
            known.counted(difference(whole[known.base(person)], other))
            for person, other in zip(known.targets, less, strict=True)
        ]
    )


def repetition(known: Known, surface: Surface) -> Evidence:
    """Ask the same pairs in other words, and average: noise that is drawn anew would go."""
    wholes = [
        _bases(known, surface, text)
        for text in ("{}", "{} AND birth_year > 1900", "birth_year < 2100 AND {}")
    ]
    rest = [
        filtered(surface, [paid(spelt(*_both(known, each))) for each in known.targets])
        for spelt in _SPELLINGS
    ]
    found = []
    for place, person in enumerate(known.targets):
        pairs = zip(wholes, rest, strict=True)
        each = [difference(whole[known.base(person)], less[place]) for whole, less in pairs]
        seen = [one for one in each if one is not None]
        found.append(known.counted(float(np.mean(seen)), averaged=1) if seen else 0.0)
    return np.array(found)


def splitting(known: Known, surface: Surface) -> Evidence:
    """Ask for the pair by sex and add up, within one group of the target after the other: noise averages out.

    Without noise one group is enough; with it the attack goes on as long as it is answered.
    """
    evidence = np.zeros(len(known.targets))
    for group in _GROUPS if known.noisy else _GROUPS[:1]:
        of = [_group(known, person, group) for person in known.targets.tolist()]
        bases = sorted(set(of))
        whole = dict(zip(bases, _by_sex(surface, [paid(each) for each in bases]), strict=True))
        less = [
            paid(f"{base} AND NOT ({known.base(person)} AND {known.isolates(person)})")
            for base, person in zip(of, known.targets.tolist(), strict=True)
        ]
        rest = _by_sex(surface, less)
        found = [
            known.counted(difference(whole[base], other), populations=4)
            for base, other in zip(of, rest, strict=True)
        ]
        evidence += found
        if not np.any(found):
            break
    return evidence


def _group(known: Known, person: int, columns: tuple[str, ...]) -> str:
    """Return the predicate of the person's group by some columns."""
    return " AND ".join(f"{name} = '{known.plain[name][person]}'" for name in columns)


def collusion(known: Known, surface: Surface) -> Evidence:
    """Share the pair among analysts of one project, and ask for sums instead of counts."""
    bases = sorted({known.base(person) for person in known.targets})
    asked = filtered(surface, bases, "SUM(benefit)", 0)
    whole = dict(zip(bases, asked, strict=True))
    half = len(known.targets) // 2
    less: list[float | None] = []
    for analyst, some in ((1, known.targets[:half]), (2, known.targets[half:])):
        conditions = [_SPELLINGS[analyst](*_both(known, person)) for person in some]
        less += filtered(surface, conditions, "SUM(benefit)", analyst)
    return np.array(
        [
            known.summed(difference(whole[known.base(person)], other))
            for person, other in zip(known.targets, less, strict=True)
        ]
    )


def _both(known: Known, person: int) -> tuple[str, str]:
    return known.base(person), known.isolates(person)


def _bases(known: Known, surface: Surface, text: str) -> dict[str, float | None]:
    bases = sorted({known.base(person) for person in known.targets})
    found = filtered(surface, [paid(text.format(each)) for each in bases])
    return dict(zip(bases, found, strict=True))


def _by_sex(surface: Surface, conditions: list[str]) -> list[float | None]:
    """Return for each condition the sum over sexes of counts, where both were answered."""
    parts = [
        filtered(surface, [f"{each} AND sex = '{sex}'" for each in conditions]) for sex in "12"
    ]
    return [
        None if one is None or other is None else one + other
        for one, other in zip(*parts, strict=True)
    ]
