"""Statement in; fragments for departments and the statement above the boundary out.

Each case is executed too, fragments and all, and compared with the plain statement on the pooled rows.
``pytest tests/golden --update-golden`` rewrites the expectations; review the diff.
"""

from dataclasses import dataclass
from pathlib import Path

import made_world as made
import pytest

HERE = Path(__file__).parent
SUBJECTS = {
    "analyst": {"subject": made.ANALYST},
    "county": {"subject": made.COUNTY},
    "analyst under withholding": {"subject": made.ANALYST, "bundle": made.WITHHOLDING},
}


@dataclass(frozen=True)
class Case:
    file: str
    title: str
    subject: str
    plain: str
    sql: str
    expected: str


def read(path):
    """Return a file's cases: title, subject, where needed a plain statement, then SQL and what is expected."""
    parts = path.read_text(encoding="utf-8").split("-- title: ")
    assert not parts[0].strip(), f"{path.name} does not begin with a title"
    return [_case(path.name, part) for part in parts[1:]]


def _case(file, text):
    title, subject, rest = text.split("\n", 2)
    assert subject.startswith("-- subject: "), title
    plain = ""
    if rest.startswith("-- plain: "):
        plain, rest = rest.split("\n", 1)
    sql, expected = rest.split(";\n", 1)
    return Case(
        file, title, subject.removeprefix("-- subject: "), plain.removeprefix("-- plain: "), sql.strip(), expected.strip()
    )  # fmt: skip


FILES = sorted(HERE.glob("*.sql"))
CASES = [case for path in FILES for case in read(path)]


def written(case):
    """Return what the planner makes of a case, as text."""
    plan = made.planned(case.sql, **SUBJECTS[case.subject])
    lines = [f"-- note {english}" for english, _ in plan.notes]
    for block in plan.blocks:
        lines += [
            f"-- fragment {block.name} {block.protocol} {', '.join(block.departments)}",
            f"{block.sql};",
        ]
    return "\n".join([*lines, "-- post", f"{plan.post_sql};"])


def _text(case):
    plain = f"-- plain: {case.plain}\n" if case.plain else ""
    return (
        f"-- title: {case.title}\n-- subject: {case.subject}\n{plain}{case.sql};\n{written(case)}\n"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}: {case.title}")
def test_statement_becomes_the_expected_fragments(case, update_golden):
    found = written(case)
    if update_golden:
        path = HERE / case.file
        path.write_text("\n".join(map(_text, read(path))), encoding="utf-8")
        return
    assert found == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}: {case.title}")
def test_answer_is_the_pooled_plain_one(case, world):
    plain = world.plain(case.plain or case.sql)
    governed = world.answer(case.sql, **SUBJECTS[case.subject])
    assert plain, "a case without rows shows nothing"
    assert made.alike(governed, plain, ordered="ORDER BY" in case.sql)


def test_titles_are_unique():
    assert len({(case.file, case.title) for case in CASES}) == len(CASES)
