from dataclasses import replace

import made_world as made

from middleplatform.model.query import Compare, Field, Literal, Rows, Table, UnitBlock
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import fingerprint, qualify
from middleplatform.sql.rename import mapped, relations, with_aliases

UNITS = "SELECT COUNT(*) FROM ga.person p JOIN (SELECT id, COUNT(*) AS n FROM ga.income GROUP BY id HAVING COUNT(*) > 1) u ON u.id = p.id"  # fmt: skip


def test_every_relation_is_found_inside_blocks_too():
    found = list(relations(made.cell(UNITS).rows))
    assert [type(item) for item in found] == [Table, UnitBlock, Table]
    assert [item.alias for item in found] == ["t0", "t2", "t1"]


def test_a_renamed_block_is_renamed_in_every_field():
    rows = made.cell(UNITS).rows
    renamed = with_aliases(rows, {"t0": "x", "t1": "y", "t2": "z"})
    assert "t0" not in repr(renamed)
    assert "t1" not in repr(renamed)
    assert "t2" not in repr(renamed)
    assert with_aliases(renamed, {"x": "t0", "y": "t1", "z": "t2"}) == rows


def test_what_is_not_named_stays():
    rows = Rows(Table("a", "ga.person"), (), Compare("=", Field("a", "sex"), Literal("1")))
    assert with_aliases(rows, {"b": "c"}) == rows
    assert mapped(rows, lambda _: None) == rows
    assert mapped(5, lambda _: 7) == 5
    swapped = mapped(rows, lambda node: Literal("2") if isinstance(node, Literal) else None)
    assert swapped == replace(rows, where=Compare("=", Field("a", "sex"), Literal("2")))


def prints(sql):
    return fingerprint(parse(sql, made.LIMITS).tree)


def test_statements_alike_but_for_literals_share_a_fingerprint():
    one = prints("SELECT COUNT(*) FROM ga.person WHERE sex = '1' AND birth_year IN (1980, 1981)")
    other = prints("select count(*) from ga.person where sex = '2' and birth_year in (1)")
    assert one == other
    assert len(one) == 64


def test_other_columns_or_operators_have_other_fingerprints():
    found = {
        prints(f"SELECT COUNT(*) FROM ga.person WHERE {condition}")
        for condition in ("sex = '1'", "sex <> '1'", "region = '1'", "sex IN ('1')", "sex IS NULL")
    }
    assert len(found) == 5


def test_a_fingerprint_is_of_the_statement_as_written_and_leaves_it_alone():
    parsed = parse("SELECT COUNT(*) FROM ga.person WHERE sex IN ('1', '2') LIMIT 5", made.LIMITS)
    before = parsed.tree.sql()
    assert fingerprint(parsed.tree) == fingerprint(parsed.tree)
    qualify(parsed, made.CATALOG)
    assert parsed.tree.sql() == before
