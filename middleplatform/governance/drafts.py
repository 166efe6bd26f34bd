"""What a draft's files would be: the problems with their places while it is written, and all checks before it is sent.

Spec: docs/spec/policy-lifecycle.md, "What is checked".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from middleplatform.errors import ConfigError
from middleplatform.gateway.check import check
from middleplatform.gateway.judge import judge
from middleplatform.governance.diff import Difference, diff
from middleplatform.governance.examined import Examined, examined, loaded
from middleplatform.governance.four_eyes import Required, required_approvals
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.governance.written import read_folder
from middleplatform.model.policy import Bundle
from middleplatform.policy import suite
from middleplatform.policy.examples import example
from middleplatform.policy.sources import Problem, merge
from middleplatform.policy.templates import PREFIX
from middleplatform.policy.written import ENDINGS, Written
from middleplatform.settings import Settings

__all__ = ["Spot", "Tried", "files_in_force", "judged", "refused", "spots", "tried"]


@dataclass(frozen=True, slots=True)
class Spot:
    """One finding.

    Attributes:
        severity: ``"error"`` or ``"warning"``.
        place: ``file:line:column``, or the file, or empty.
        where: Path to what is at fault, or empty.
        what: (English, Chinese) sentence.
    """

    severity: str
    place: str
    where: str
    what: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tried:
    """A draft against what is in force.

    Attributes:
        examined: What check and test said of it.
        difference: What it would change now.
        required: Approvals that this needs.
    """

    examined: Examined
    difference: Difference
    required: Required


def files_in_force(lifecycle: Lifecycle, settings: Settings) -> Mapping[str, str]:
    """Return the files of the version in force; those that the settings name while nothing was published.

    Raises:
        ConfigError: C001 the settings' files cannot be read.
    """
    number = lifecycle.compared().number
    if number:
        return lifecycle.files(number)
    if settings.bundle is None:
        found = (each for each in example("demo").iterdir() if each.name.endswith(ENDINGS))
        return {each.name: each.read_text(encoding="utf-8") for each in found if each.is_file()}
    if settings.bundle.is_dir():
        return read_folder(settings.bundle)
    return {settings.bundle.name: settings.bundle.read_text(encoding="utf-8")}


def spots(files: Mapping[str, str], lifecycle: Lifecycle) -> tuple[Spot, ...]:
    """Return what is wrong with ``files`` or for people to weigh, with the places; errors first."""
    try:
        bundle = loaded(files, lifecycle.catalog)
    except ConfigError as error:
        return refused(error)
    merged = merge(Written("bundle", files))
    now = lifecycle.desk.clock.now()
    found = check(bundle, lifecycle.catalog, now, thorough=False)
    return tuple(
        _spot(merged.problem(_path(each.where, bundle), each.what), str(each.severity))
        for each in found
    )


def refused(error: ConfigError) -> tuple[Spot, ...]:
    """Return the problems that an error names, or its sentence."""
    problems = cast("Sequence[Problem]", error.parts.get("problems", ()))
    if problems:
        return tuple(_spot(each, "error") for each in problems)
    return (Spot("error", "", "", cast("tuple[str, str]", error.parts["what"])),)


def tried(files: Mapping[str, str], lifecycle: Lifecycle) -> Tried:
    """Check and test ``files`` in full, and compare them with what is in force.

    Raises:
        ConfigError: C001 as ``examined``.
    """
    now = lifecycle.desk.clock.now()
    said, standing = examined(files, lifecycle.catalog, now), lifecycle.compared().bundle
    difference = diff(standing, said.bundle, lifecycle.catalog, now)
    return Tried(said, difference, required_approvals(difference, standing, said.bundle))


def judged(files: Mapping[str, str], lifecycle: Lifecycle) -> tuple[suite.Outcome, ...]:
    """Return every case of the suites among ``files``, judged by their own rules.

    Raises:
        ConfigError: C001 they do not load.
    """
    catalog, bundle = lifecycle.catalog, loaded(files, lifecycle.catalog)
    suites = suite.load(Written("bundle", files))
    reports = [suite.run(each, lambda case: judge(case, catalog, bundle)) for each in suites]
    return tuple(outcome for report in reports for outcome in report.outcomes)


def _spot(each: Problem, severity: str) -> Spot:
    place = f"{each.file}:{each.line}:{each.column}" if each.line else each.file
    return Spot(severity, place, each.where, each.what)


def _path(where: str, bundle: Bundle) -> tuple[str | int, ...]:
    """Return the steps to what a finding is about: a grant, a dataset, or a column."""
    for index, grant in enumerate(bundle.grants):
        if grant.id == where:
            return "grants", index
    if where.startswith(PREFIX):
        return "templates", where.removeprefix(PREFIX)
    if where.count(".") == 1:  # a dataset, with rules or without
        return "datasets", where
    dataset, _, column = where.rpartition(".")
    return "datasets", dataset, "columns", column
