"""Policy test suites: persona, statement, expected verdict and rule, in YAML beside the policy.

The runner takes the judge as an argument: the very function that judges questions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import cast

from middleplatform.model.request import Role, Subject
from middleplatform.policy.sources import invalid
from policies.documents import Document, Problem, place, read
from policies.schemas import breaches

__all__ = ["STAGES", "Case", "Outcome", "Report", "Suite", "Verdict", "load", "personas", "run"]

STAGES = frozenset({"authorization", "history"})

Raw = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Case:
    """One statement and what must come of it.

    Attributes:
        id: Unique in the suite.
        subject: The persona.
        purpose: As stated.
        sql: As typed.
        expect: ``permit`` or ``refuse``.
        rule: The rule that refuses; empty for a permit.
        code: Expected error code; empty where the rule says enough.
        protocol: What would answer a permitted statement; empty where any may.
        recipient: Department that will receive the answer; empty for the subject's own.
        project: What history is kept for.
        strict: Refuse instead of rewriting.
        sealed: Whether the values are asked for encrypted under a key of the persona's.
        noise: Privacy loss to spend on a differentially private answer: a fraction as text, or ``policy``.
        prior: Statements that were answered before, in order.
        stage: ``authorization``, or ``history`` where the verdict needs released answers.
        now: When it is asked, UTC.
        note: Why.
    """

    id: str
    subject: Subject
    purpose: str
    sql: str
    expect: str
    now: datetime
    rule: str = ""
    code: str = ""
    protocol: str = ""
    recipient: str = ""
    project: str = ""
    strict: bool = False
    sealed: bool = False
    noise: str = ""
    prior: tuple[str, ...] = ()
    stage: str = "authorization"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of a case; same words as in ``Case``."""

    verdict: str
    rule: str = ""
    code: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one file, in order."""

    name: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case, judged.

    Attributes:
        case: The case.
        verdict: What the judge said; None where the case was not judged.
        differences: Names of what was not as expected: ``verdict``, ``rule``, ``code``,
            ``protocol``.
    """

    case: Case
    verdict: Verdict | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes, in order."""

    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Return the outcomes that were not as expected."""
        return tuple(each for each in self.outcomes if each.differences)

    @property
    def not_judged(self) -> tuple[Outcome, ...]:
        """Return the cases of stages that this run did not judge."""
        return tuple(each for each in self.outcomes if each.verdict is None)

    @property
    def passed(self) -> tuple[Outcome, ...]:
        """Return the outcomes that were as expected."""
        return tuple(each for each in self.outcomes if each.verdict and not each.differences)


def run(
    suite: Suite,
    judge: Callable[[Case], Verdict],
    stages: frozenset[str] = frozenset({"authorization"}),
) -> Report:
    """Judge every case of ``stages``; what the judge raises goes through.

    Args:
        suite: The cases.
        judge: Says what the platform makes of a case, ``prior`` statements included.
        stages: Those that ``judge`` can tell, of ``STAGES``; the others are reported as not judged.
    """
    return Report(tuple(_outcome(case, judge, stages) for case in suite.cases))


def _outcome(case: Case, judge: Callable[[Case], Verdict], stages: frozenset[str]) -> Outcome:
    if case.stage not in stages:
        return Outcome(case, None)
    said = judge(case)
    pairs = {
        "verdict": (case.expect, said.verdict),
        "rule": (case.rule, said.rule),
        "code": (case.code, said.code),
        "protocol": (case.protocol, said.protocol),
    }
    wrong = [name for name, (wanted, given) in pairs.items() if wanted and wanted != given]
    return Outcome(case, said, tuple(wrong))


def personas(file: Path | Traversable) -> Mapping[str, Subject]:
    """Return the made persons of a ``personas.yaml``, by name; their login is their name.

    Raises:
        ConfigError: C001, with every problem.
    """
    raw = cast("Mapping[str, Raw]", _read(file, "personas")[1]["personas"])
    return {
        name: Subject(
            id=name,
            department=str(each["department"]),
            roles=frozenset(Role(role) for role in cast("list[str]", each["roles"])),
            regions=tuple(map(str, cast("list[object]", each.get("regions", ["*"])))),
        )
        for name, each in raw.items()
    }


def load(folder: Path | Traversable) -> tuple[Suite, ...]:
    """Return the suites of every ``*_test.yaml`` in ``folder``, by file name.

    Args:
        folder: A bundle's folder, with ``personas.yaml`` beside the suites.

    Raises:
        ConfigError: C001, with every problem of the first file that has any.
    """
    files = sorted(folder.iterdir(), key=lambda each: each.name)
    tests = [file for file in files if file.name.endswith(("_test.yaml", "_test.yml"))]
    known = personas(folder / "personas.yaml") if tests else {}
    return tuple(_suite(file, known) for file in tests)


def _suite(file: Path | Traversable, known: Mapping[str, Subject]) -> Suite:
    document, raw = _read(file, "cases")
    now = datetime.fromisoformat(str(raw.get("now", "2026-01-01T00:00:00Z"))).astimezone(UTC)
    problems: list[Problem] = []
    seen: set[object] = set()
    cases = cast("list[Raw]", raw["cases"])
    for index, each in enumerate(cases):
        where = str(each["id"])
        if each["id"] in seen:
            what = ("the id is used twice", "编号重复")
            problems.append(
                Problem(file.name, *place(document, ("cases", index, "id")), where, what)
            )
        seen.add(each["id"])
        if each["persona"] not in known:
            what = (f"persona {each['persona']} is unknown", f"未知的人物 {each['persona']}")
            spot = place(document, ("cases", index, "persona"))
            problems.append(Problem(file.name, *spot, where, what))
    if problems:
        raise invalid(problems)
    return Suite(
        str(raw.get("suite", file.name)),
        tuple(_case(each, known[str(each["persona"])], now) for each in cases),
    )


def _case(raw: Raw, subject: Subject, now: datetime) -> Case:
    fields = {
        name: str(raw.get(name, ""))
        for name in ("rule", "code", "protocol", "recipient", "project", "note")
    }
    return Case(
        id=str(raw["id"]),
        subject=subject,
        purpose=str(raw["purpose"]),
        sql=str(raw["sql"]).strip(),
        expect=str(raw["expect"]),
        now=now,
        strict=bool(raw.get("strict", False)),
        sealed=bool(raw.get("sealed", False)),
        noise=str(raw.get("noise", "")),
        prior=_prior(cast("list[object]", raw.get("prior", []))),
        stage=str(raw.get("stage", "authorization")),
        **fields,
    )


def _prior(items: list[object]) -> tuple[str, ...]:
    statements: list[str] = []
    for item in items:
        if isinstance(item, str):
            statements.append(item)
            continue
        ranged = cast("Raw", item)
        first, last = cast("list[int]", ranged["n"])
        text = str(ranged["sql"])
        statements += [text.replace("{n}", str(n)) for n in range(first, last + 1)]
    return tuple(statements)


def _read(file: Path | Traversable, wanted: str) -> tuple[Document, Raw]:
    try:
        content = file.read_bytes()
    except OSError:
        what = ("the file is missing", "缺少该文件")
        raise invalid([Problem(file.name, 0, 0, "", what)]) from None
    document, found = read(file.name, content)
    problems = list(found)
    if not found:
        problems += breaches(document, "suite")
        if isinstance(document.value, dict) and wanted not in document.value:
            what = (f"field {wanted} is missing", f"缺少字段 {wanted}")
            problems.append(Problem(file.name, 1, 1, "", what))
    if problems:
        raise invalid(problems)
    return document, cast("Raw", document.value)
