"""``policy``: check a bundle, run its tests, compare it, show the one in force."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.access.system import SystemClock
from middleplatform.cli import printable
from middleplatform.cli.commands import (
    policy_diff,
    policy_simulate,
    policy_templates,
    policy_versions,
    policy_watch,
)
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say, pick
from middleplatform.cli.parser import Commands, group, leaf
from middleplatform.cli.sources import (
    catalog_folder,
    open_catalog,
    read_bundle_path,
)
from middleplatform.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from middleplatform.model.policy import Bundle
    from middleplatform.policy.lint import Finding
    from middleplatform.policy.suite import Outcome

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare them."""
    mine = group(commands, say, "policy", say("Policies", "策略"))
    for name, run, text in (
        ("check", _check, say("Validate and lint a bundle", "校验并检查策略包")),
        ("test", _test, say("Run a bundle's test suites", "运行策略包的测试")),
    ):
        made = leaf(mine, say, name, run, text)
        made.add_argument(
            "path", type=Path, metavar="PATH", help=say("the bundle's folder", "策略包目录")
        )
        if name == "test":
            made.add_argument(
                "--suite", help=say("only the suite of this name", "只运行该名称的测试")
            )
    leaf(mine, say, "show", _show, say("Show the bundle in force", "显示生效的策略包"))
    policy_templates.add(mine, say)
    policy_diff.add(mine, say)
    policy_simulate.add(mine, say)
    policy_versions.add(mine, say)
    policy_watch.add(mine, say)


def _check(context: Context, options: argparse.Namespace) -> int:
    from middleplatform import policy  # noqa: PLC0415 - the validator is slow to import
    from middleplatform.gateway.check import check  # noqa: PLC0415 - so is the engine
    from middleplatform.policy import lint  # noqa: PLC0415 - the same

    path = read_bundle_path(options.path)
    catalog = open_catalog(catalog_folder(context.settings, path))
    bundle = policy.load(path, catalog)
    findings = check(bundle, catalog, SystemClock().now())
    errors = sum(each.severity is lint.Severity.ERROR for each in findings)
    if context.as_json:
        context.emit({
            "name": bundle.name, "version": bundle.version, "digest": bundle.digest,
            "errors": errors, "findings": [_finding(each, context.locale) for each in findings],
        })  # fmt: skip
    else:
        _print_findings(context, bundle, findings)
    return ConfigError.exit_code if errors else 0


def _finding(each: "Finding", locale: str) -> dict[str, str]:
    return {
        "severity": str(each.severity),
        "code": each.code,
        "where": each.where,
        "what": pick(each.what, locale),
    }


def _print_findings(context: Context, bundle: "Bundle", findings: "Sequence[Finding]") -> None:
    say = context.say
    table = Table()
    for name in (
        say("severity", "级别"), say("code", "代码"), say("where", "位置"), say("what", "问题"),
    ):  # fmt: skip
        table.add_column(name)
    for each in findings:
        shown = _finding(each, context.locale)
        table.add_row(*(Text(printable.line(part)) for part in shown.values()))
    if findings:
        context.out.print(table)
    context.tell(
        f"{bundle.name} {bundle.version} ({bundle.digest[:16]}): {len(findings)} findings",
        f"{bundle.name} {bundle.version}（{bundle.digest[:16]}）：发现 {len(findings)} 项",
    )


def _test(context: Context, options: argparse.Namespace) -> int:
    from middleplatform import policy  # noqa: PLC0415 - the validator is slow to import
    from middleplatform.gateway.judge import judge  # noqa: PLC0415 - so is the engine
    from middleplatform.policy import suite  # noqa: PLC0415 - the same

    path = read_bundle_path(options.path)
    suites = [each for each in suite.load(path) if options.suite in (None, each.name)]
    if not suites:
        what = (f"{path} holds no such suite", f"{path} 中没有该测试")
        raise ConfigError("C001", what=what)
    catalog = open_catalog(catalog_folder(context.settings, path))
    bundle = policy.load(path, catalog)
    reports = [suite.run(each, lambda case: judge(case, catalog, bundle)) for each in suites]
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    failed = sum(len(report.failed) for report in reports)
    if context.as_json:
        context.emit({
            "passed": sum(len(report.passed) for report in reports), "failed": failed,
            "not_judged": sum(len(report.not_judged) for report in reports),
            "cases": [_outcome(each) for each in outcomes],
        })  # fmt: skip
    else:
        _print_outcomes(context, outcomes, failed)
    return ConfigError.exit_code if failed else 0


def _outcome(each: "Outcome") -> dict[str, object]:
    said = each.verdict
    return {
        "id": each.case.id,
        "expected": {"verdict": each.case.expect, "rule": each.case.rule, "code": each.case.code},
        "verdict": said and {"verdict": said.verdict, "rule": said.rule, "code": said.code},
        "differences": list(each.differences),
    }


def _print_outcomes(context: Context, outcomes: "Sequence[Outcome]", failed: int) -> None:
    say = context.say
    table = Table()
    for name in (
        say("case", "用例"), say("expected", "预期"), say("verdict", "结果"), say("", ""),
    ):  # fmt: skip
        table.add_column(name)
    for each in outcomes:
        said = each.verdict
        verdict = say("not judged", "未判定") if said is None else f"{said.verdict} {said.rule}"
        state = say("differs", "不符") if each.differences else ("" if said is None else "✓")
        wanted = f"{each.case.expect} {each.case.rule}"
        parts = (each.case.id, wanted, verdict, state)
        table.add_row(*(Text(printable.line(part.strip())) for part in parts))
    context.out.print(table)
    context.tell(
        f"{len(outcomes)} cases, {failed} differ", f"共 {len(outcomes)} 例，{failed} 例不符"
    )


def _show(context: Context, _: argparse.Namespace) -> int:
    from middleplatform import policy  # noqa: PLC0415 - the validator is slow to import

    bundle = policy_versions.in_force(context)
    if context.as_json:
        context.emit({"digest": bundle.digest, "bundle": policy.canonical_form(bundle)})
        return 0
    context.write(f"{bundle.name} {bundle.version}  {bundle.digest}\n")
    tables = [_datasets(context, bundle), _grants(context, bundle)]
    if bundle.templates:
        tables.append(policy_templates.table(context, bundle.templates.values()))
    for table in tables:
        context.out.print(table)
    return 0


def _datasets(context: Context, bundle: "Bundle") -> Table:
    say = context.say
    table = Table(title=say("Datasets", "数据集"))
    for name in (
        say("dataset", "数据集"), say("owner", "提供部门"), say("purposes", "使用目的"),
        say("threshold", "阈值"), say("columns", "列"),
    ):  # fmt: skip
        table.add_column(name)
    for name, rule in bundle.datasets.items():
        parts = (
            name, rule.owner, ", ".join(sorted(rule.purposes)),
            str(rule.disclosure.min_units), str(len(rule.columns)),
        )  # fmt: skip
        table.add_row(*map(Text, parts))
    return table


def _grants(context: Context, bundle: "Bundle") -> Table:
    say = context.say
    table = Table(title=say("Grants", "授权"))
    for name in (
        say("number", "文号"), say("for", "对象"), say("purposes", "使用目的"),
        say("columns", "列"), say("until", "截止"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for each in bundle.grants:
        parts = (
            each.id, ", ".join(sorted(each.departments | each.subjects)),
            ", ".join(sorted(each.purposes)), ", ".join(sorted(each.columns)),
            f"{each.ends:%Y-%m-%d}",
        )  # fmt: skip
        table.add_row(*(Text(printable.line(part)) for part in parts))
    return table
