"""A folder of Parquet and CSV files: every table, every value, and nothing outside the folder."""

import json
import os
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.conformance import check
from connectors.files import FilesConnector
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Statement, TypeKind

LIMITS = ExecutionLimits(timeout_s=60, rows_max=100_000, memory_mb=16)

_WORDS = {"int64": "integer", "string": "text", "date32[day]": "date", "bool": "boolean"}


def word_of(kind):
    return _WORDS.get(str(kind)) or f"decimal({kind.precision},{kind.scale})"


def write_csv(folder, name, table, encoding="utf-8", bom=""):
    """Write a table as a department's export would be, with its declaration."""
    lines = [",".join(map(_quoted, table.schema.names))]
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    lines += [",".join(map(_field, row)) for row in rows]
    text = bom + "\r\n".join(lines) + "\r\n"
    (folder / f"{name}.csv").write_bytes(text.encode(encoding))
    columns = {field.name: word_of(field.type) for field in table.schema}
    declaration = {"columns": columns, "encoding": encoding}
    (folder / f"{name}.schema.json").write_text(
        json.dumps(declaration, ensure_ascii=False), encoding="utf-8"
    )


def _field(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text):
    return '"' + text.replace('"', '""') + '"'


@pytest.fixture
def fresh(tmp_path):
    made = []

    def make():
        made.append(tmp_path / f"部门 '{len(made)}' ; x")
        made[-1].mkdir()
        return made[-1]

    return make


def as_parquet(folder, tables):
    for place, (name, table) in enumerate(tables.items()):
        if place % 2:
            pq.write_table(table, folder / f"{name}.parquet")
            continue
        (folder / name).mkdir()
        half = table.num_rows // 2
        pq.write_table(table.slice(0, half), folder / name / "part-0.parquet")
        pq.write_table(
            table.slice(half), folder / name / "part '1'; y.parquet", use_dictionary=True
        )


def as_csv(folder, tables):
    for place, (name, table) in enumerate(tables.items()):
        write_csv(
            folder, name, table, ("utf-8", "gb18030")[place % 2], ("", "\ufeff")[place % 3 > 0]
        )


@pytest.mark.parametrize(("write", "every"), [(as_parquet, 1), (as_csv, 3)])
def test_files_pass_every_check(fresh, write, every):
    def factory(tables):
        folder = fresh()
        write(folder, tables)
        return FilesConnector(folder, threads=1, memory_mb=256)

    assert [
        f"{item.name}: {item.problem}" for item in check(factory, every=every) if item.problem
    ] == []


# --- by hand ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(fresh):
    return fresh()


def opened(folder, memory_mb=64):
    return FilesConnector(folder, threads=1, memory_mb=memory_mb)


def column(folder, name, kind=None, table="t", limits=LIMITS):
    """Return a column of a table."""
    quoted = '"' + table.replace('"', '""') + '"'
    schema = pa.schema([("c", kind or pa.int64())])
    statement = Statement("rows", f'SELECT "{name}" AS c FROM {quoted} ORDER BY 1', {}, schema)
    return opened(folder).execute(statement, limits).column("c").to_pylist()


def kind_of(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    assert str(caught.value) == caught.value.kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.kind


def csv(folder, content, columns, **more):
    (folder / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    declaration = {"columns": columns, **more}
    (folder / "t.schema.json").write_text(json.dumps(declaration), encoding="utf-8")


# --- CSV ----------------------------------------------------------------------------------------------------------


def test_fields_of_csv_are_what_stands_there(folder):
    text = 'c,n\n"=HYPERLINK(""http://x"")\n,\r\n+1",1\n@SUM(A1),2\n,3\n"",4\n 公民 ,5\nNULL,6\n\n'
    csv(folder, text, {"c": "text", "n": "integer"})
    found = column(folder, "c", pa.string())
    assert found == ["", " 公民 ", '=HYPERLINK("http://x")\n,\r\n+1', "@SUM(A1)", "NULL", None]
    assert column(folder, "n") == [1, 2, 3, 4, 5, 6]


def test_every_declared_type_is_read_exactly(folder):
    text = "a;b;c;d;e\n-9223372036854775808;99999999999999.9999;0001-01-01;t;x\n;;;;\n"
    words = {"a": "integer", "b": "decimal(18,4)", "c": "date", "d": "boolean", "e": "text"}
    csv(folder, text, words, delimiter=";")
    assert column(folder, "a") == [-(2**63), None]
    assert column(folder, "b", pa.decimal128(38, 4)) == [Decimal("99999999999999.9999"), None]
    assert column(folder, "c", pa.date32()) == [date(1, 1, 1), None]
    assert column(folder, "d", pa.bool_()) == [True, None]
    kinds = [item.kind for item in opened(folder).describe(("t",))["t"].columns]
    assert kinds == [
        TypeKind.INTEGER,
        TypeKind.DECIMAL,
        TypeKind.DATE,
        TypeKind.BOOLEAN,
        TypeKind.TEXT,
    ]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_chinese_is_read_in_both_encodings_with_and_without_a_mark(folder, encoding, mark):
    text = f"{mark}姓名,n\n张三𠮷,1\n㐀€,2\n"
    csv(folder, text.encode(encoding), {"姓名": "text", "n": "integer"}, encoding=encoding)
    assert column(folder, "姓名", pa.string()) == ["㐀€", "张三𠮷"]


@pytest.mark.parametrize(
    "content",
    [
        'c,n\n"x,1\n', 'c,n\nx,"1\n', "c,n\nx\n", "c,n\nx,1,2\n", "c,n\nx,1.5\n", 'c,n\nx,""\n', "c,n\nx, 1\n", "c,n\nx,1\nx,9223372036854775808\n",
        b"c,n\n\xff,1\n", "c,n\n张三,1\n".encode("gb18030"),
    ],
)  # fmt: skip
def test_damaged_csv_is_failed(folder, content):
    csv(folder, content, {"c": "text", "n": "integer"})
    statement = Statement(
        "rows", "SELECT COUNT(c) AS n FROM t WHERE n < 5", {}, pa.schema([("n", pa.int64())])
    )
    assert kind_of(lambda: opened(folder).execute(statement, LIMITS)) is ErrorKind.FAILED


def test_utf8_declared_as_gb18030_is_no_answer(folder):
    csv(folder, "\ufeffc,n\n张三丰,1\n", {"c": "text", "n": "integer"}, encoding="gb18030")
    assert kind_of(lambda: column(folder, "c", pa.string())) in (ErrorKind.FAILED, ErrorKind.SCHEMA)


@pytest.mark.parametrize("header", ["n,c", "c", "c,n,c", "C,n", "c, n", "", "x,n"])
def test_csv_with_other_columns_is_schema(folder, header):
    csv(folder, f"{header}\nx,1\n" if header else "", {"c": "text", "n": "integer"})
    assert kind_of(lambda: column(folder, "c", pa.string())) is ErrorKind.SCHEMA


@pytest.mark.parametrize(
    "declaration",
    [
        None, "{}", "[]", "{", '{"columns": {"c": "float"}}', '{"columns": {"c": "integer", "c": "integer"}}', '{"columns": {"c": 1}}',
        '{"columns": {"c": "integer"}, "encoding": "latin-1"}', '{"columns": {"c": "integer"}, "delimiter": "ab"}', '{"columns": {"c": "integer"}, "other": 1}',
    ],
)  # fmt: skip
def test_csv_without_a_sound_declaration_is_schema(folder, declaration):
    (folder / "t.csv").write_text("c\n1\n")
    if declaration is not None:
        (folder / "t.schema.json").write_text(declaration)
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.SCHEMA


def test_empty_line_of_one_column_is_a_missing_value(folder):
    csv(folder, "c\n1\n\n2\n", {"c": "integer"})
    assert column(folder, "c") == [1, 2, None]


# --- Parquet ------------------------------------------------------------------------------------------------------


def parquet(path, **columns):
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(pa.table(columns), path)


def test_parts_of_a_folder_are_one_table(folder):
    for part in range(3):
        parquet(folder / "t" / f"part-{part}.parquet", c=[part, part + 10])
    (folder / "t" / "_SUCCESS").write_text("")
    (folder / "t" / ".part-0.parquet.crc").write_text("")
    assert column(folder, "c") == [0, 1, 2, 10, 11, 12]
    assert set(opened(folder).describe()) == {"t"}


@pytest.mark.parametrize(
    "other",
    [
        {"c": pa.array([1], pa.int32())}, {"c": ["1"]}, {"d": [1]}, {"c": [1], "d": [1]},
        {"c": pa.array([Decimal("1.5")])},
    ],
)  # fmt: skip
def test_parts_that_disagree_are_schema(folder, other):
    parquet(folder / "t" / "a.parquet", c=[1])
    parquet(folder / "t" / "b.parquet", **other)
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.SCHEMA
    assert kind_of(opened(folder).describe) is ErrorKind.SCHEMA


@pytest.mark.parametrize("stray", ["b.csv", "b.parquet.gz", "README", "year=2024/a.parquet"])
def test_part_that_would_be_left_out_is_schema(folder, stray):
    parquet(folder / "t" / "a.parquet", c=[1])
    parquet(folder / "t" / stray, c=[2])
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.SCHEMA


def test_declared_partitions_are_columns(folder):
    for year in (2023, 2024):
        for region in ("东区", "西 区"):
            parquet(folder / "t" / f"year={year}" / f"region={region}" / "a.parquet", c=[year])
    words = {"partitions": {"year": "integer", "region": "text"}}
    (folder / "t.schema.json").write_text(json.dumps(words))
    assert column(folder, "year") == column(folder, "c") == [2023, 2023, 2024, 2024]
    assert column(folder, "region", pa.string()) == ["东区", "东区", "西 区", "西 区"]
    assert [item.name for item in opened(folder).describe()["t"].columns] == ["c", "year", "region"]


@pytest.mark.parametrize(
    "wrong",
    ["year=2024.5/a.parquet", "year=__HIVE_DEFAULT_PARTITION__/a.parquet", "Year=2024/a.parquet", "a.parquet", "year=%32/a.parquet"],
)  # fmt: skip
def test_folder_that_is_no_declared_partition_is_schema(folder, wrong):
    parquet(folder / "t" / "year=2023" / "a.parquet", c=[1])
    parquet(folder / "t" / wrong, c=[1])
    (folder / "t.schema.json").write_text('{"partitions": {"year": "integer"}}')
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.SCHEMA


def test_description_of_parquet_tells_what_is_not_exact(folder):
    columns = {
        "a": pa.array([1], pa.int8()), "b": pa.array([1], pa.uint32()), "c": pa.array([1], pa.uint64()), "d": pa.array([1.5]), "e": pa.array(["x"]).dictionary_encode(),
        "f": pa.array([Decimal("1.50")], pa.decimal128(12, 2)), "g": pa.array([Decimal(1)], pa.decimal256(50, 0)), "h": pa.array([date(2024, 1, 1)]),
        "i": pa.array([0], pa.timestamp("us")), "j": pa.array([True]), "k": pa.array(["x"], pa.large_string()), "l": pa.array([[1]]), "m": pa.array([b"x"]),
    }  # fmt: skip
    parquet(folder / "t.parquet", **columns)
    found = {item.name: item.kind for item in opened(folder).describe()["t"].columns}
    exact = dict.fromkeys("ab", TypeKind.INTEGER) | dict.fromkeys("ek", TypeKind.TEXT)
    exact |= {"f": TypeKind.DECIMAL, "h": TypeKind.DATE, "j": TypeKind.BOOLEAN}
    assert found == {name: exact.get(name, TypeKind.OTHER) for name in columns}
    assert column(folder, "f", pa.decimal128(38, 2)) == [Decimal("1.50")]
    assert column(folder, "e", pa.string()) == column(folder, "k", pa.string()) == ["x"]
    assert column(folder, "b") == [1]
    assert kind_of(lambda: column(folder, "d")) is ErrorKind.SCHEMA


def test_broken_parquet_is_failed_and_others_are_read(folder):
    parquet(folder / "t.parquet", c=[1])
    parquet(folder / "u.parquet", c=list(range(5000)))
    content = (folder / "u.parquet").read_bytes()
    (folder / "u.parquet").write_bytes(content[:-20])
    assert column(folder, "c") == [1]
    assert kind_of(lambda: column(folder, "c", table="u")) is ErrorKind.FAILED
    (folder / "u.parquet").write_bytes(content[:200] + b"\xff" * 2000 + content[2200:])
    assert kind_of(lambda: column(folder, "c", table="u")) is ErrorKind.FAILED


def test_table_larger_than_memory_streams(folder):
    numbers = pa.array(range(1_000_000), pa.int64())
    with pq.ParquetWriter(
        folder / "t.parquet", pa.schema([("c", pa.int64()), ("d", pa.int64())])
    ) as writer:
        for _ in range(8):
            writer.write_table(pa.table({"c": numbers, "d": numbers}), row_group_size=100_000)
    connector = opened(folder, memory_mb=96)  # the rows alone are 128 MiB
    statement = Statement(
        "totals",
        "SELECT CAST(SUM(c + d) AS BIGINT) AS n FROM t",
        {},
        pa.schema([("n", pa.int64())]),
    )
    assert connector.execute(statement, LIMITS).to_pylist() == [{"n": 8 * 1_000_000 * 999_999}]


# --- the folder -----------------------------------------------------------------------------------------------


def test_absent_folder_is_missing(tmp_path, folder):
    assert kind_of(lambda: opened(tmp_path / "none")) is ErrorKind.MISSING
    connector = opened(folder)
    folder.rename(tmp_path / "gone")
    assert kind_of(connector.describe) is ErrorKind.MISSING


def test_file_that_goes_away_or_changes_its_columns_is_schema(folder):
    parquet(folder / "t.parquet", c=[1])
    connector = opened(folder)
    assert set(connector.describe()) == {"t"}
    parquet(folder / "t.parquet", c_old=[1])
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.SCHEMA
    (folder / "t.parquet").unlink()
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.SCHEMA


def test_file_replaced_between_two_statements_is_read_anew(folder):
    parquet(folder / "t.parquet", c=[1])
    connector = opened(folder)
    statement = Statement("rows", "SELECT c FROM t", {}, pa.schema([("c", pa.int64())]))
    assert connector.execute(statement, LIMITS).to_pylist() == [{"c": 1}]
    parquet(folder / "new.parquet", c=[2])
    (folder / "new.parquet").replace(folder / "t.parquet")
    assert connector.execute(statement, LIMITS).to_pylist() == [{"c": 2}]


def test_file_replaced_during_a_statement_is_failed(folder):
    parquet(folder / "t.parquet", c=[1])
    parquet(folder / "new.parquet", c=[2])

    def replacing(batches):
        (folder / "new.parquet").replace(folder / "t.parquet")
        yield from batches

    schema = pa.schema([("c", pa.int64())])
    statement = Statement("rows", "SELECT c FROM t", {}, schema)
    assert (
        kind_of(lambda: opened(folder).scan(statement, replacing, schema, LIMITS))
        is ErrorKind.FAILED
    )


@pytest.mark.parametrize("inside", [False, True])
def test_links_are_refused(folder, tmp_path, inside):
    target = folder if inside else tmp_path / "elsewhere"
    parquet(target / "_secret" / "s.parquet", c=[7])
    (folder / "t.parquet").symlink_to(target / "_secret" / "s.parquet")
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.REFUSED
    (folder / "t.parquet").unlink()
    (folder / "t").symlink_to(target / "_secret")
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.REFUSED
    (folder / "t").unlink()
    parquet(folder / "t" / "a.parquet", c=[1])
    (folder / "t" / "b.parquet").symlink_to(target / "_secret" / "s.parquet")
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.REFUSED


def test_linked_declaration_and_special_files_are_refused(folder, tmp_path):
    csv(folder, "c\n1\n", {"c": "integer"})
    (folder / "t.schema.json").rename(tmp_path / "elsewhere.json")
    (folder / "t.schema.json").symlink_to(tmp_path / "elsewhere.json")
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.REFUSED
    os.mkfifo(folder / "u.parquet")
    assert kind_of(lambda: column(folder, "c", table="u")) is ErrorKind.REFUSED


def test_folder_itself_may_be_reached_through_a_link(folder, tmp_path):
    parquet(folder / "t.parquet", c=[1])
    (tmp_path / "current").symlink_to(folder)
    assert column(tmp_path / "current", "c") == [1]


@pytest.mark.parametrize("name", ["a*", "a?", "[ab]", "{a,b}", "a\\b"])
def test_names_that_are_patterns_are_refused(folder, name):
    parquet(folder / "ab.parquet", c=[1])
    parquet(folder / f"{name}.parquet", c=[2])
    assert kind_of(lambda: column(folder, "c", table=name)) is ErrorKind.REFUSED


@pytest.mark.parametrize(
    "name",
    [
        "a'b",
        'a"b',
        "a;b",
        "a b",
        "数据",
        "a\nb",
        "-- a",
        "a.b",
        "s3:",
        "~",
        "$HOME",
        "a=b",
        "SELECT",
    ],
)
def test_other_names_are_only_names(folder, name):
    parquet(folder / f"{name}.parquet", c=[1])
    parquet(folder / "ab.parquet", c=[2])
    assert column(folder, "c", table=name) == [1]
    assert set(opened(folder).describe()) == {name, "ab"}


def test_table_that_is_there_twice_is_schema(folder):
    parquet(folder / "t.parquet", c=[1])
    csv(folder, "c\n1\n", {"c": "integer"})
    assert kind_of(lambda: column(folder, "c")) is ErrorKind.SCHEMA


def test_other_files_are_no_tables(folder):
    for name in ("README.md", "x.json", ".hidden.parquet", "_temporary.csv", "x.parquet.tmp"):
        (folder / name).write_text("x")
    (folder / "empty").mkdir()
    assert opened(folder).describe() == {}


@pytest.mark.parametrize("path", ["u.parquet", "../outside.parquet", "t.parquet"])
def test_statement_reaches_no_file_that_is_not_of_its_tables(folder, path):
    for name in ("t.parquet", "u.parquet", "../outside.parquet"):
        parquet(folder / name, c=[1])
    quoted = str(folder / path).replace("'", "''")
    sql = f"SELECT COUNT(*) AS c FROM read_parquet('{quoted}')"
    statement = Statement("rows", sql, {}, pa.schema([("c", pa.int64())]))
    assert kind_of(lambda: opened(folder).execute(statement, LIMITS)) is ErrorKind.REFUSED
