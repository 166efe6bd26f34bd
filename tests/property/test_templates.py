"""A template opens its own statements and no other: whatever is changed in one, it is judged as if there were none."""

from dataclasses import replace
from itertools import pairwise

import sqlglot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_templates import OPEN, TEMPLATE, made, with_templates
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from middleplatform.gateway.judge import judge
from middleplatform.model.catalog import Sharing
from middleplatform.policy.suite import Case
from middleplatform.sql.forms import statements

CLOSED = made.with_column(made.BUNDLE, "ga.person", "region", sharing=Sharing.CONDITIONAL)
CLOSED = made.with_column(CLOSED, "ga.person", "education", sharing=Sharing.CONDITIONAL)
RICH = replace(
    TEMPLATE,
    sql=(
        "SELECT p.sex, CASE WHEN p.region = :code THEN 1 ELSE 0 END AS near, COUNT(*) AS n, SUM(p.education) AS years "
        "FROM ga.person p JOIN ga.income i ON p.id = i.id WHERE p.birth_year BETWEEN :since AND 2000 AND i.kind = '工资' "
        "GROUP BY p.sex, near HAVING COUNT(*) >= 20 ORDER BY 1 LIMIT 10"
    ),
    parameters=(("code", ("'990101'", "'990102'")), ("since", ("1960", "1970"))),
)  # fmt: skip
SIMPLE = replace(OPEN.templates["education"], name="simple")
BUNDLE = with_templates(RICH, SIMPLE, bundle=CLOSED)
STATEMENTS = [text for each in (RICH, SIMPLE) for text in statements(each.sql, each.parameters)]
WORDS = [
    *dict.fromkeys(token.text for text in STATEMENTS for token in sqlglot.tokenize(text, "postgres")),
    "1965", "'990103'", "AVG", "MAX", "LEFT", "DISTINCT", "education", "region", "p.region", "OR", "NOT", "<", ">", "-", ":since",
    "COUNT(DISTINCT p.id)", "FILTER (WHERE p.region = '990101')", "/* said */", "WHERE", "UNION ALL", "(", ")",
]  # fmt: skip


def pieces(text):
    """Return a statement cut at its tokens, white space kept, so that joined again it is the statement."""
    tokens = sqlglot.tokenize(text, "postgres")
    ends = [0, *(token.end + 1 for token in tokens)]
    return [text[one:other] for one, other in pairwise(ends)]


@st.composite
def changed(draw):
    """Draw one of the statements with one to three tokens left out, doubled, put elsewhere or replaced."""
    parts = pieces(draw(st.sampled_from(STATEMENTS)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(parts) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "replace", "insert"])):
            case "drop":
                del parts[place]
            case "double":
                parts.insert(place, parts[place])
            case "swap":
                other = draw(st.integers(0, len(parts) - 1))
                parts[place], parts[other] = parts[other], parts[place]
            case "replace":
                parts[place] = " " + draw(st.sampled_from(WORDS))
            case "insert":
                parts.insert(place, f" {draw(st.sampled_from(WORDS))} ")
    return "".join(parts)


def tree(text):
    """Return a statement's tree by the library's own means, or None."""
    try:
        return normalize_identifiers(
            sqlglot.parse_one(text, dialect="postgres"), dialect="postgres"
        )
    except sqlglot.errors.SqlglotError:
        return None


OWN = [tree(text) for text in STATEMENTS]


def verdict(text, bundle):
    case = Case("1", made.ANALYST, "statistics", text, "permit", made.NOW)
    return judge(case, made.CATALOG, bundle)


def test_every_statement_of_its_own_is_opened_and_without_it_is_not():
    for text in STATEMENTS:
        assert verdict(text, BUNDLE).verdict == "permit", text
        assert verdict(text, CLOSED).rule == "G1", text


@settings(max_examples=400)
@given(changed())
@example(STATEMENTS[0].replace("990101", "990103"))
@example(STATEMENTS[0].replace("1960", "1960 "))
@example(STATEMENTS[-1] + " -- 1965")
def test_a_statement_is_opened_only_if_its_tree_is_one_of_the_templates(text):
    with_it, without = verdict(text, BUNDLE), verdict(text, CLOSED)
    if tree(text) in OWN:
        assert (with_it.verdict, without.rule) == ("permit", "G1")
    else:
        assert with_it == without
