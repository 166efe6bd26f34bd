"""Side channels: errors, overflows and time, read with the help of people whose secret is known."""

import numpy as np
from scipy import stats

from middleplatform.attack.batches import PATIENCE, paid
from middleplatform.attack.cells import calibrated
from middleplatform.attack.known import Evidence, Known
from middleplatform.attack.people import DATASET, Numbers
from middleplatform.attack.surface import Seen, Surface

__all__ = ["ORACLES", "errors", "timing"]

ORACLES = (
    "SELECT SUM(CASE WHEN {c} THEN benefit * 9000000000000000 ELSE 0 END) AS v FROM {t} WHERE {a}",
    "SELECT SUM(1 / CASE WHEN {c} THEN benefit ELSE 1 END) AS v FROM {t} WHERE {a}",
    "SELECT SUM(CAST(CASE WHEN {c} AND benefit > 0 THEN 'x' ELSE '1' END AS INTEGER)) AS v FROM {t} WHERE {a}",
    "SELECT COUNT(*) AS v FROM {t} WHERE {a} AND (NOT ({c}) OR SQRT(0 - benefit) = 0)",
    "SELECT COUNT(*) AS v FROM {t} WHERE {a} AND {c} AND benefit > 0",
    "SELECT AVG(benefit) AS v FROM {t} WHERE {a} AND {c}",
    "SELECT MAX(CASE WHEN {c} AND benefit > 0 THEN 1 ELSE 0 END) AS v FROM {t} WHERE {a}",
    "SELECT SUM(benefit) AS v FROM {t} WHERE {a} AND {c} HAVING SUM(benefit) > 0",
)
_SURE = 0.001
_LEAST = 10


def errors(known: Known, surface: Surface) -> Evidence:
    """Ask what fails, overflows or vanishes if the target gets the benefit; read the code, the marks and the rows."""
    signs: dict[int, object] = {}
    told: dict[int, object] = {}
    for number, text in enumerate(ORACLES):
        for people, found in ((known.accomplices, told), (known.targets, signs)):
            in_a_row = 0
            for person in people[number :: len(ORACLES)].tolist():
                if in_a_row < PATIENCE:
                    seen = surface.ask(_filled(known, text, person))
                    in_a_row = in_a_row + 1 if seen.code and len(set(found.values())) <= 1 else 0
                    found[person] = (number, *_sign(seen))
    return calibrated(
        known,
        [signs.get(each) for each in known.targets.tolist()],
        [told.get(each) for each in known.accomplices.tolist()],
    )


def _filled(known: Known, text: str, person: int) -> str:
    return text.format(a=known.base(person), c=known.isolates(person), t=DATASET)


def _sign(seen: Seen) -> tuple[object, ...]:
    return seen.code, len(seen.rows), seen.marks, seen.withheld


def timing(known: Known, surface: Surface) -> Evidence:
    """Time the refusal of what only the target fits; use it where accomplices' times differ surely.

    A two-sample test (Mann and Whitney) decides whether the times of those who get the benefit and of those who do not
    are of one distribution; normal likelihoods of the two then speak for each target.
    """
    own = _times(known, surface, known.accomplices)
    paid, unpaid = own[known.told & ~np.isnan(own)], own[~known.told & ~np.isnan(own)]
    nothing = np.zeros(len(known.targets))
    if min(len(paid), len(unpaid)) < _LEAST or stats.mannwhitneyu(paid, unpaid).pvalue > _SURE:
        return nothing
    seen = _times(known, surface, known.targets)
    spread = [max(float(each.std()), 1e-6) for each in (paid, unpaid)]
    found = stats.norm.logpdf(seen, paid.mean(), spread[0]) - stats.norm.logpdf(
        seen, unpaid.mean(), spread[1]
    )
    return np.asarray(np.nan_to_num(found), dtype=np.float64)


def _times(known: Known, surface: Surface, people: Numbers) -> Evidence:
    """Return seconds; not a number where near-identical questions are refused before anything is read."""
    found = []
    for person in people.tolist():
        alone = paid(f"{known.base(person)} AND {known.isolates(person)}")
        text = f"SELECT COUNT(*) AS v FROM {DATASET} WHERE {alone}"
        seen = surface.ask(text)
        found.append(np.nan if seen.code == "D011" else seen.seconds)
        if seen.code == "D011":
            break
    return np.array(found + [np.nan] * (len(people) - len(found)))
