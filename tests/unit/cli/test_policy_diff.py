"""``policy diff`` on folders, in both languages."""

import json
import shutil
from pathlib import Path

import pytest

from middleplatform.policy.examples import example


@pytest.fixture
def edited(tmp_path):
    """Return what makes a copy of the shipped bundle with texts of its files replaced."""

    def make(name, *changes):
        folder = tmp_path / name
        shutil.copytree(str(example("demo")), folder)
        for file, was, will_be in changes:
            text = (folder / file).read_text(encoding="utf-8")
            assert was in text
            (folder / file).write_text(text.replace(was, will_be), encoding="utf-8")
        return str(folder)

    return make


LOOSER = ("columns.yaml", "income_total: {breakpoints: [5000,", "income_total: {breakpoints: [4000, 5000,")  # fmt: skip
TIGHTER = ("columns.yaml", "generalise: 5}", "generalise: 10}")
SHIPPED = str(example("demo"))


def test_what_loosens_is_told_with_counts_and_who_must_approve(shell, edited):
    new = edited("new", LOOSER, ("manifest.yaml", '"2026.1"', '"2026.2"'))
    ran = shell("policy", "diff", SHIPPED, new)
    assert ran.code == 0
    assert "value < 4000" in ran.out
    assert ran.out.endswith(
        "loosens 136 cells and 1 setting, tightens 0 cells and 0 settings\n"
        "To approve: a second officer, and the data owners tax\n"
    )
    assert shell("policy", "diff", SHIPPED, new, "--exit-code").code == 1
    chinese = shell("policy", "diff", SHIPPED, new, "--locale", "zh").out
    assert "数值 < 4000" in chinese
    assert "须经审批：另一名安全管理员，以及数据提供部门 tax" in chinese


def test_what_only_tightens_needs_no_approval_and_neither_does_nothing(shell, edited):
    new = edited("new", TIGHTER)
    ran = shell("policy", "diff", SHIPPED, new, "--exit-code")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "Nothing is loosened: no approval is needed.")  # fmt: skip
    same = shell("policy", "diff", new, new, "--exit-code")
    assert (same.code, same.out.splitlines()[-1]) == (0, "The two are the same.")


def test_a_program_gets_every_cell_by_its_parts(shell, edited):
    new = edited("new", LOOSER)
    value = json.loads(shell("policy", "diff", SHIPPED, new, "--json").out)
    assert (value["loosened"], value["tightened"], value["owners"]) == (136, 0, ["tax"])
    cells = [each for each in value["loosens"] if each["cells"]]
    assert sum(each["cells"] for each in cells) == 136
    granted = next(each for each in cells if each["after"].startswith("permitted"))
    assert (granted["dataset"], granted["columns"], granted["purposes"], granted["uses"]) == (
        "tax.individual_income", ["income_total"], ["planning", "statistics"], ["value < 4000", "unit total < 4000"],
    )  # fmt: skip
    assert {each["department"] for each in granted["persons"]} == {"drc", "stats"}
    assert value["loosens"][-1]["setting"] == ["datasets", "tax.individual_income", "columns", "income_total", "breakpoints"]  # fmt: skip


def test_what_cannot_be_compared_fails_with_its_reason(shell, edited, tmp_path):
    broken = edited("new", ("columns.yaml", "sex: {}", "sex: {use: key}"))
    ran = shell("policy", "diff", SHIPPED, broken)
    assert (ran.code, "looser than the catalogue" in ran.err) == (17, True)
    assert shell("policy", "diff", SHIPPED, str(tmp_path / "gone")).code == 17
    catalog = str(Path(SHIPPED) / "catalog")
    assert shell("policy", "diff", SHIPPED, SHIPPED, "--catalog", catalog).code == 0
