"""Check and test of a written bundle: what ``policy check`` and ``policy test`` say, and whether it may be published.

Spec: docs/spec/policy-lifecycle.md, "What is checked".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from middleplatform import policy
from middleplatform.errors import ConfigError
from middleplatform.gateway.check import check
from middleplatform.gateway.judge import judge
from middleplatform.governance.written import Written, check_files
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.policy import lint, suite

__all__ = ["Examined", "examined", "loaded"]

_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Examined:
    """A bundle that may be published, as far as check and test go.

    Attributes:
        bundle: Its rules, over the catalogue it was examined with.
        warnings: How many findings of ``policy check`` are for people to weigh.
        passed: How many cases of its suites passed.
    """

    bundle: Bundle
    warnings: int
    passed: int


def loaded(files: Mapping[str, str], catalog: Catalog) -> Bundle:
    """Return the rules that ``files`` write.

    Raises:
        ConfigError: C001, with every problem.
    """
    check_files(files)
    return policy.load(Written("bundle", files), catalog)


def examined(files: Mapping[str, str], catalog: Catalog, now: datetime) -> Examined:
    """Check and test ``files``.

    Args:
        files: Text by name.
        catalog: What exists.
        now: Aware; for the checks.

    Raises:
        ConfigError: C001 they do not load, a check finds an error, no case is judged, or a case differs.
    """
    bundle = loaded(files, catalog)
    findings = check(bundle, catalog, now)
    errors = [each for each in findings if each.severity is lint.Severity.ERROR]
    if errors:
        raise _refused(
            ("policy check finds: ", "策略检查发现："),
            [f"{each.where} {each.code}" for each in errors],
        )
    suites = suite.load(Written("bundle", files))
    reports = [suite.run(each, lambda case: judge(case, catalog, bundle)) for each in suites]
    failed = [outcome.case.id for report in reports for outcome in report.failed]
    passed = sum(len(report.passed) for report in reports)
    if failed:
        raise _refused(("policy test differs: ", "策略测试不符："), failed)
    if not passed:
        what = ("a bundle is published with a test suite only", "没有测试的策略包不得发布")
        raise ConfigError("C001", what=what)
    return Examined(bundle, len(findings), passed)


def _refused(head: tuple[str, str], names: list[str]) -> ConfigError:
    shown = ", ".join(names[:_SHOWN_MAX])
    if len(names) > _SHOWN_MAX:
        shown += f" (+{len(names) - _SHOWN_MAX})"
    return ConfigError("C001", what=(head[0] + shown, head[1] + shown))
