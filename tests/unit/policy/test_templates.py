"""A template is loaded only with its basis and its recorded risk, and published only when its statements would pass."""

import re
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from made_templates import as_written

import policies
from middleplatform.errors import ConfigError
from middleplatform.gateway.check import check
from middleplatform.gateway.judge import judge
from middleplatform.model.policy import Risk
from middleplatform.policy import load, suite
from middleplatform.policy.templates import literal

BUNDLE = (Path(__file__).parent / "small_bundle.yaml").read_text(encoding="utf-8")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SQL = """|
  SELECT sex, SUM(education_years) AS years
  FROM ga.population WHERE birth_year >= :since GROUP BY sex"""
MORE = "parameters: {since: [1960, 1970]}\napproved_by: [li]\n"
TEMPLATES = as_written("education", ("受教育年数", "Years of education"), SQL, MORE)
WHOLE = f"{BUNDLE}\n{TEMPLATES}"


def codes(write, catalog, text, now=NOW):
    bundle = load(write(text), catalog)
    return [
        (each.code, str(each.severity))
        for each in check(bundle, catalog, now)
        if each.where == "T/education"
    ]


def refused(write, catalog, text):
    with pytest.raises(ConfigError) as raised:
        load(write(text), catalog)
    assert raised.value.code == "C001"
    return raised.value.public_message


def test_a_template_is_what_is_written(write, catalog):
    bundle = load(write(WHOLE), catalog)
    template = bundle.templates["education"]
    assert template.parameters == (("since", ("1960", "1970")),)
    assert template.departments == {"drc"}
    assert template.starts == datetime(2026, 1, 1, tzinfo=UTC)
    assert template.risk == Risk("不涉及", "仅汇总", "王", date(2025, 12, 1))
    assert codes(write, catalog, WHOLE) == []


def test_templates_may_stand_in_a_file_of_their_own(write, catalog):
    one = load(write(WHOLE), catalog)
    write(BUNDLE)
    two = load(write(TEMPLATES, "templates.yaml"), catalog)
    assert (one.digest, one.templates) == (two.digest, two.templates)


def test_the_digest_covers_every_field_but_who_approved_it(write, catalog):
    digest = load(write(WHOLE), catalog).digest
    assert load(write(WHOLE.replace("[li]", "[wang]")), catalog).digest == digest
    for old, new in (
        ("1970]", "1980]"),
        ("仅汇总", "有影响"),
        ("GROUP BY sex", "GROUP BY sex ORDER BY 1"),
    ):
        assert load(write(WHOLE.replace(old, new)), catalog).digest != digest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    basis: 《统计法》第三条\n", "", "basis"),
        ("basis: 《统计法》第三条", 'basis: " "', "basis"),
        ("    risk: {secrecy: 不涉及, personal: 仅汇总, assessed_by: 王, assessed_on: 2025-12-01}\n", "", "risk"),
        ("secrecy: 不涉及, ", "", "secrecy"),
        ("personal: 仅汇总, ", "", "personal"),
        ("assessed_by: 王, ", "", "assessed_by"),
        ("assessed_on: 2025-12-01", "assessed_on: 2026-01-02", "before its risk was assessed"),
        ("    departments: [drc]\n    purposes: [statistics]\n    regions", "    purposes: [statistics]\n    regions", "the template binds nobody"),
        ('purposes: [statistics]\n    regions: ["*"]\n    starts', 'purposes: []\n    regions: ["*"]\n    starts', "for no purpose"),
        ('purposes: [statistics]\n    regions: ["*"]\n    starts', 'purposes: [gossip]\n    regions: ["*"]\n    starts', "purpose gossip is unknown"),
        ("ends: 2027-01-01\n    basis: 《", "ends: 2025-01-01\n    basis: 《", "ends before it starts"),
        ("since: [1960, 1970]", "since: []", "since"),
        ("since: [1960, 1970]", "since: [true]", "since"),
        ("since: [1960, 1970]", f"since: {list(range(257))}", "since"),
        ("since: [1960, 1970]", f"a: {list(range(16))}, b: {list(range(17))}", "272 statements"),
        ("since: [1960, 1970]", f"since: [1960, '{'x' * 50_000}']", "more than 100000"),
        ("  education:\n    title", "  Education:\n    title", "lower-case letters"),
        ("  education:\n    title", '  "education\\n":\n    title', "lower-case letters"),
        ("  education:\n    title", '  "T/education":\n    title', "lower-case letters"),
        ("id: G1", "id: T/education", "a template's"),
    ],
)  # fmt: skip
def test_what_is_none_is_not_loaded(write, catalog, old, new, said):
    text = WHOLE.replace(old, new)
    assert text != WHOLE
    assert said in refused(write, catalog, text)


def test_a_policy_has_so_many_templates_and_no_more(write, catalog):
    (one,) = re.findall(r"  education:\n((?:    .*\n)+)", TEMPLATES)
    for many, loads in ((256, True), (257, False)):
        text = BUNDLE + "\ntemplates:\n" + "".join(f"  t{n}:\n{one}" for n in range(many))
        if loads:
            assert len(load(write(text), catalog).templates) == many
        else:
            assert "more than 256 templates" in refused(write, catalog, text)


def test_a_problem_is_told_with_its_place(write, catalog):
    line = WHOLE.splitlines().index("    ends: 2027-01-01", WHOLE.splitlines().index("templates:"))
    message = refused(write, catalog, WHOLE.replace("ends: 2027-01-01\n    basis: 《", "ends: 2025-01-01\n    basis: 《"))  # fmt: skip
    assert f"bundle.yaml:{line + 1}:" in message


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("SUM(education_years)", "MAX(education_years)", [("template-refused", "error"), ("template-without-effect", "warning")]),
        ("SELECT sex,", "SELECT name,", [("template-refused", "error")]),
        ("FROM ga.population", "FROM tax.population", [("template-refused", "error"), ("template-without-effect", "warning")]),
        ("1970]", "1970, x]", [("template-refused", "error")]),
        (":since", "1970", [("template-malformed", "error")]),
        (":since", ":since AND birth_year < :until", [("template-malformed", "error")]),
        ('    departments: [drc]\n    purposes: [statistics]\n    regions: ["*"]', '    departments: [drc, nowhere]\n    purposes: [statistics]\n    regions: ["*"]', [("template-unknown-department", "error")]),
        ("SUM(education_years) AS years", "COUNT(*) AS years", [("template-without-effect", "warning")]),
        ("education_years: {min_units: 30, ", "education_years: {sharing: not_shared, law: 某法, min_units: 30, ", [("template-refused", "error"), ("template-without-effect", "warning")]),
    ],
)  # fmt: skip
def test_what_would_be_refused_even_so_is_an_error(write, catalog, old, new, found):
    text = WHOLE.replace(old, new)
    assert text != WHOLE
    assert codes(write, catalog, text) == found


def test_one_that_has_expired_is_for_the_officer_to_weigh(write, catalog):
    found = codes(write, catalog, WHOLE, datetime(2027, 1, 1, tzinfo=UTC))
    assert found == [("template-expired", "warning")]


def test_a_grant_beside_it_does_not_make_up_for_a_purpose_that_it_lacks(write, catalog):
    """Judged with nothing but what it opens itself: the data's purposes stand."""
    wide = '    purposes: [statistics]\n    regions: ["*"]'
    text = WHOLE.replace(wide, wide.replace("statistics", "data_quality"))
    assert text != WHOLE
    assert codes(write, catalog, text) == []
    closed = text.replace("purposes: [statistics, data_quality]", "purposes: [statistics]")
    assert codes(write, catalog, closed) == [("template-refused", "error")]


def test_two_templates_of_one_statement_are_an_error(write, catalog):
    again = TEMPLATES.replace("templates:", "").replace("education:", "second:")
    again = again.replace("[1960, 1970]", "[1970, 1980]").replace("GROUP BY sex", "group  by SEX")
    bundle = load(write(WHOLE + again), catalog)
    (found,) = check(bundle, catalog, NOW)[:1]
    assert (found.code, found.where) == ("template-twice", "T/second")
    assert found.what[0] == "template education has the same statement"


def test_literals_are_written_as_sql_and_a_quote_ends_none():
    assert [literal(each) for each in (1, -2, "F32", "a'b", "1")] == ["1", "-2", "'F32'", "'a''b'", "'1'"]  # fmt: skip


def test_the_guide_tells_a_template_that_passes_and_the_cases_that_hold_it(tmp_path, catalog):
    page = (policies.root().parent / "docs/howto/approve-a-template.md").read_text(encoding="utf-8")
    template, cases = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert template in (policies.root().parent / "docs/spec/grants.md").read_text(encoding="utf-8")
    folder = tmp_path / "bundle"
    shutil.copytree(policies.root() / "examples" / "demo", folder)
    (folder / "templates.yaml").write_text(template, encoding="utf-8")
    (folder / "templates_test.yaml").write_text(f"now: 2026-06-01T00:00:00Z\n{cases}", encoding="utf-8")  # fmt: skip
    bundle = load(folder, catalog)
    assert not [each for each in check(bundle, catalog, NOW) if each.where.startswith("T/")]
    (found,) = [each for each in suite.load(folder) if each.name == "templates_test.yaml"]
    report = suite.run(found, lambda case: judge(case, catalog, bundle))
    assert len(report.passed) == 2
    assert not report.failed
    without = load(policies.root() / "examples" / "demo", catalog)
    assert [each.case.id for each in suite.run(found, lambda case: judge(case, catalog, without)).failed] == ["template"]  # fmt: skip
