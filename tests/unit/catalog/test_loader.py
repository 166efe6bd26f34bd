"""The catalogue loader reports everything that is wrong, and where."""

from datetime import date
from pathlib import Path

import pytest

from middleplatform.catalog import describe, load, search
from middleplatform.errors import ConfigError, QueryError
from middleplatform.model.catalog import Catalog, Level, Sharing, TypeKind, Use

DEPARTMENTS = """
departments:
  - {code: city, name_zh: 示例市, name_en: Example City, level: city, region: 990100}
  - {code: ga, name_zh: 公安局, name_en: Public Security, level: city, region: "990100", parent: city}
  - {code: ga_990101, name_zh: 一区分局, name_en: District 1, level: county, region: "990101", parent: ga}
"""

PEOPLE = """
datasets:
  ga.population:
    name_zh: 人口基础库
    name_en: Population register
    owner: ga
    steward: 张三
    source_department: ga
    collection_basis: 户口登记条例
    update_frequency: daily
    library: 基础
    format: table
    sharing_mode: query service
    use_conditions: 统计分析
    risk_assessed_on: 2026-01-05
    head_approval: 李四
    quality: 0.98
    unit: person
    unit_column: id_number
    region_column: region_code
    columns:
      id_number:
        {name_zh: 公民身份号码, name_en: Identity number, type: text, level: general-3,
         sharing: unconditional, uses: key, unit: person, nullable: false}
      region_code:
        {name_zh: 区划, name_en: Region, type: text, level: general-2, sharing: unconditional,
         uses: dimension, codes: {"990101": 一区}}
      income:
        {name_zh: 收入, name_en: Income, type: "decimal(12,2)", level: general-3, sharing: conditional,
         sharing_basis: 税收征管法第八条, uses: [measure], unit_of_measure: 元}
"""

COUNTY = """
datasets:
  ga_990101.population:
    like: ga.population
    name_zh: 一区人口
    held_by: [ga_990101]
    columns:
      income: {level: general-4}
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path, **files: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, **{"departments": DEPARTMENTS, **files}))
    assert caught.value.code == "C002"
    return caught.value.message("en")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return load(write(tmp_path, departments=DEPARTMENTS, people=PEOPLE, zcounty=COUNTY))


def test_fields_arrive_as_typed_values(catalog):
    people = catalog.datasets["ga.population"]
    assert people.risk_assessed_on == date(2026, 1, 5)
    assert people.held_by == ("ga",)
    income = people.columns["income"]
    assert (income.type.kind, income.type.precision, income.type.scale) == (TypeKind.DECIMAL, 12, 2)
    assert income.level is Level.GENERAL_3
    assert income.sharing is Sharing.CONDITIONAL
    assert income.uses == {Use.MEASURE}
    assert people.columns["region_code"].codes == {"990101": "一区"}
    assert catalog.departments["city"].region == "990100"


def test_like_inherits_fields_and_columns_then_overrides(catalog):
    county = catalog.datasets["ga_990101.population"]
    assert county.name_zh == "一区人口"
    assert county.owner == "ga"
    assert county.held_by == ("ga_990101",)
    assert list(county.columns) == ["id_number", "region_code", "income"]
    assert county.columns["income"].level is Level.GENERAL_4
    assert county.columns["income"].sharing is Sharing.CONDITIONAL
    assert catalog.datasets["ga.population"].columns["income"].level is Level.GENERAL_3


def test_digest_ignores_layout_and_sees_every_value(tmp_path, catalog):
    (tmp_path / "b").mkdir()
    moved = load(
        write(
            tmp_path / "b",
            departments="# x\n" + DEPARTMENTS,
            all=PEOPLE + COUNTY.replace("\ndatasets:", ""),
        )
    )
    assert moved.digest == catalog.digest
    (tmp_path / "c").mkdir()
    changed = load(
        write(
            tmp_path / "c",
            departments=DEPARTMENTS,
            people=PEOPLE.replace("0.98", "0.97"),
            county=COUNTY,
        )
    )
    assert changed.digest != catalog.digest
    assert len(changed.digest) == 64


@pytest.mark.parametrize(
    ("field", "law"),
    [
        ("owner", "decree 809 art. 13"),
        ("source_department", "decree 809 art. 19"),
        ("risk_assessed_on", "decree 809 art. 13"),
        ("head_approval", "decree 809 art. 13"),
        ("steward", "decree 809 art. 11"),
        ("unit_column", "statistics law"),
    ],
)
def test_missing_dataset_field_is_named_with_its_article(tmp_path, field, law):
    lines = [line for line in PEOPLE.splitlines() if not line.startswith(f"    {field}:")]
    text = problems(tmp_path, people="\n".join(lines))
    assert f"people.yaml:3:3: ga.population: field {field} is missing" in text
    assert law in text


def test_missing_column_field_names_file_dataset_column_and_field(tmp_path):
    text = problems(tmp_path, people=PEOPLE.replace("level: general-2, ", ""))
    assert "people.yaml:" in text
    assert (
        "ga.population / columns / region_code: field level is missing (decree 809 art. 13" in text
    )


def test_every_problem_is_reported_at_once(tmp_path):
    broken = (
        PEOPLE.replace("owner: ga", "owner: nobody")
        .replace("    steward: 张三\n", "")
        .replace("unit_column: id_number", "unit_column: no_such")
        .replace("sharing_basis: 税收征管法第八条, ", "")
    )
    text = problems(tmp_path, people=broken, other="datasets: {x: 1}", bad="a: [")
    for part in (
        "nobody is not a registered department",
        "steward is missing",
        "no_such does not exist",
        "must state its condition",
        "bad.yaml:1:",
        "other.yaml",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("uses: key, unit: person", "uses: dimension", "not a key of unit person"),
        ("unit: person\n", "unit: firm\n", "not a key of unit firm"),
        ("uses: [measure]", "uses: [measure, denied]", "denied stands alone"),
        ('type: "decimal(12,2)"', "type: text", "a measure must be integer or decimal"),
        ('type: "decimal(12,2)"', "type: float", "does not fit"),
        ('"decimal(12,2)"', '"decimal(2,4)"', "scale is greater"),
        (
            "level: general-3, sharing: conditional",
            "level: core, sharing: conditional",
            "core data may not be connected",
        ),
        (
            "sharing: conditional,\n         sharing_basis: 税收征管法第八条",
            "sharing: not_shared,\n         sharing_basis: 不方便",
            "must cite the law",
        ),
        ("sharing_basis: 税收征管法第八条", "sharing_basis: 无条件", "must state its condition"),
        ("region_column: region_code", "region_column: nowhere", "nowhere does not exist"),
        ("    owner: ga\n", "    owner: ga\n    owner: ga\n", "the key owner is given twice"),
        (
            "    owner: ga\n",
            "    owner: ga\n    held_by: [gone]\n",
            "gone is not a registered department",
        ),
        ("quality: 0.98", "quality: 1.2", "a score from 0 to 1"),
        ("risk_assessed_on: 2026-01-05", "risk_assessed_on: 2026-02-31", "ISO date"),
        ("    owner: ga\n", "    owner: ga\n    colour: red\n", "unknown field colour"),
        ("update_frequency: daily", "update_frequency: &a daily", "anchors and aliases"),
        ("steward: 张三", "steward: !!python/name:os.system 张三", "tags are not taken"),
        ("uses: dimension", "uses: date", "a date must have type date"),
        ("uses: dimension", "uses: dimension, unit: person", "only a key, names a unit"),
        ("uses: [measure]", "uses: [measure, key]", "only a key, names a unit"),
        ("    owner: ga\n", "    owner: ga\n    rows_by: [nobody]\n", "nobody does not exist"),
        ("    owner: ga\n", "    owner: ga\n    rows: 0\n", "does not fit"),
        ("nullable: false}", "nullable: false, normalise: [lower]}", "must be one of: trim"),
        ("uses: dimension,", "uses: dimension, normalise: [trim],", "only a key of type text"),
        (
            "type: text, level: general-3,\n         sharing: unconditional, uses: key",
            "type: integer, level: general-3, normalise: [id18],\n         sharing: unconditional, uses: key",
            "only a key of type text",
        ),
        (
            "    unit_column: id_number\n",
            "    unit_column: id_number\n    rows_by: [later]\n",
            "later is not connected",
        ),
    ],
)
def test_contradiction_is_refused(tmp_path, old, new, said):
    assert old in PEOPLE
    later = """\
      later:
        {name_zh: 后来, name_en: Later, type: text, level: general-2, sharing: unconditional,
         uses: dimension, held: false}
"""
    assert said in problems(tmp_path, people=PEOPLE.replace(old, new) + later)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("parent: city}", "parent: nowhere}", "nowhere is not a registered department"),
        ("parent: ga}", "parent: ga_990101}", "runs in a circle"),
        ('region: "990101"', 'region: "990201"', "outside the superior's"),
        (
            'level: county, region: "990101"',
            'level: city, region: "990101"',
            "not one of this level",
        ),
        ("code: ga_990101", "code: ga", "registered twice"),
        ("level: city, region: 990100}", "level: township, region: 990100}", "stands below"),
    ],
)
def test_inconsistent_tree_is_refused(tmp_path, old, new, said):
    assert old in DEPARTMENTS
    text = problems(tmp_path, departments=DEPARTMENTS.replace(old, new), people=PEOPLE)
    assert said in text


def test_core_data_that_is_not_connected_may_be_registered(tmp_path):
    text = PEOPLE.replace(
        "level: general-3, sharing: conditional", "held: false, level: core, sharing: conditional"
    )
    loaded = load(write(tmp_path, departments=DEPARTMENTS, people=text))
    assert loaded.datasets["ga.population"].columns["income"].level is Level.CORE


def test_syntax_error_has_line_and_column(tmp_path):
    assert "people.yaml:3:7: not valid YAML" in problems(
        tmp_path, people="datasets:\n  a: 1\n  b: c: d\n"
    )


def test_same_dataset_in_two_files_is_refused(tmp_path):
    assert "ga.population is registered twice" in problems(tmp_path, people=PEOPLE, again=PEOPLE)


def test_what_identifies_rows_and_keys_is_kept(tmp_path):
    text = PEOPLE.replace(
        "    owner: ga\n", "    owner: ga\n    rows_by: [id_number]\n    rows: 5900\n"
    )
    text = text.replace("nullable: false}", "nullable: false, normalise: [halfwidth, id18]}")
    folder = write(tmp_path, departments=DEPARTMENTS, people=text, county=COUNTY)
    found = load(folder).datasets["ga.population"]
    assert (found.rows_by, found.rows) == (("id_number",), 5900)
    assert found.columns["id_number"].normalise == ("halfwidth", "id18")
    assert found.columns["income"].normalise == ()
    assert load(folder).datasets["ga_990101.population"].rows_by == ("id_number",), "inherited"


@pytest.mark.parametrize("target", ["ga.nothing", "ga_990101.population"])
def test_like_without_an_end_is_refused(tmp_path, target):
    text = problems(
        tmp_path, people=PEOPLE, county=COUNTY.replace("like: ga.population", f"like: {target}")
    )
    assert "names no dataset, or runs in a circle" in text


def test_missing_folder_is_one_clear_message(tmp_path):
    with pytest.raises(ConfigError, match=r"departments\.yaml: the file is missing"):
        load(tmp_path / "nowhere")


def test_chinese_message_is_chinese(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, departments=DEPARTMENTS, people=PEOPLE.replace("    owner: ga\n", "")))
    assert "缺少字段 owner（政务数据共享条例第十三条）" in caught.value.message("zh")


def test_search_finds_by_chinese_and_english_words(catalog):
    assert [(m.dataset, m.column) for m in search(catalog, "收入")] == [
        ("ga.population", "income"),
        ("ga_990101.population", "income"),
    ]
    assert [m.dataset for m in search(catalog, "POPULATION register")] == [
        "ga.population",
        "ga_990101.population",
    ]
    assert [m.column for m in search(catalog, "")] == ["", ""]
    assert search(catalog, "no such thing") == ()


def test_describe_says_everything_of_a_column_dataset_and_department(catalog):
    assert describe(catalog, "ga.population.income")["type"] == "decimal(12,2)"
    dataset = describe(catalog, "ga.population")
    assert [column["name"] for column in dataset["columns"]] == [
        "id_number",
        "region_code",
        "income",
    ]
    assert describe(catalog, "ga_990101")["holds"] == ["ga_990101.population"]


@pytest.mark.parametrize(
    ("name", "code"), [("ga.nothing", "Q021"), ("ga.population.nothing", "Q020"), ("", "Q021")]
)
def test_describe_refuses_unknown_names(catalog, name, code):
    with pytest.raises(QueryError) as caught:
        describe(catalog, name)
    assert caught.value.code == code
