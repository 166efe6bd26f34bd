"""What a hostile gateway asks for: (name, statement, rule that refuses it); X003 is the code of them all."""

P = "ga.population"
I = "tax.individual_income"  # noqa: E741 - as P
GROUPED = "GROUP BY region_code"

ROWS = [
    ("every column", f"SELECT * FROM {P}", "R0"),
    ("the row as a value", f"SELECT p FROM {P} AS p", "R0"),
    ("keys", f"SELECT id_number FROM {P}", "R0"),
    ("keys, each once", f"SELECT DISTINCT id_number FROM {P}", "R0"),
    ("keys, as a group", f"SELECT id_number AS d0, COUNT(*) AS a0 FROM {P} GROUP BY id_number", "R0"),
    ("groups by a key that is not shown", f"SELECT COUNT(*) AS a0 FROM {P} GROUP BY id_number", "R0"),
    ("another key", f"SELECT household_id AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", "R0"),
    ("a piece of a key", f"SELECT SUBSTRING(id_number, 1, 6) AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", "R2"),
    ("a key behind a case", f"SELECT CASE WHEN sex = '1' THEN id_number END AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", "R2"),
    ("a key behind a subquery", f"SELECT k AS d0, COUNT(*) AS a0 FROM (SELECT id_number AS k, COUNT(*) AS c FROM {P} GROUP BY id_number) t GROUP BY k", "R0"),
    ("the largest key", f"SELECT MAX(id_number) AS a0 FROM {P}", "R2"),
    ("keys as one text", f"SELECT STRING_AGG(id_number, ',') AS a0 FROM {P}", "R2"),
    ("keys as a list", f"SELECT ARRAY_AGG(id_number) AS a0 FROM {P}", "R2"),
    ("names", f"SELECT name AS d0, COUNT(*) AS a0 FROM {P} GROUP BY name", "R1"),
    ("names as one text", f"SELECT STRING_AGG(name, ',') AS a0 FROM {P}", "R1"),
    ("a denied column in a condition", f"SELECT COUNT(*) AS a0 FROM {P} WHERE key_person_flag", "R1"),
    ("one person", f"SELECT COUNT(*) AS a0 FROM {P} WHERE id_number = '990101196001010014'", "R2"),
    ("a person by pattern", f"SELECT COUNT(*) AS a0 FROM {P} WHERE id_number LIKE '99010119600101%'", "R2"),
    ("a person by order", f"SELECT COUNT(*) AS a0 FROM {P} WHERE id_number < '990101196001010014'", "R2"),
    ("rows by their number", f"SELECT ROW_NUMBER() OVER () AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", "R7"),
    ("a window over rows", f"SELECT COUNT(*) OVER (PARTITION BY birth_year) AS a0 FROM {P}", "R0"),
    ("rows one at a time", f"SELECT region_code AS d0, COUNT(*) AS a0 FROM (SELECT region_code FROM {P} LIMIT 1 OFFSET 7) t {GROUPED}", "R9"),
    ("a sample", f"SELECT COUNT(*) AS a0 FROM {P} TABLESAMPLE SYSTEM (0.1)", "R9"),
    ("unit-level groups", f"SELECT region_code AS d0, birth_year AS d1, education_years AS d2, sex AS d3, COUNT(*) AS a0 FROM {P} GROUP BY 1, 2, 3, 4", "R4"),
    ("pairs by quasi-identifiers", f"SELECT COUNT(*) AS a0 FROM {P} a JOIN {P} b ON a.birth_year = b.birth_year AND a.sex = b.sex", "R10"),
]  # fmt: skip

VALUES = [
    ("the largest income", f"SELECT MAX(income_total) AS a0 FROM {I}", "R3"),
    ("the smallest income", f"SELECT MIN(income_total) AS a0 FROM {I}", "R3"),
    ("any income", f"SELECT ANY_VALUE(income_total) AS a0 FROM {I}", "R3"),
    ("the median", f"SELECT MEDIAN(income_total) AS a0 FROM {I}", "R3"),
    ("the 99th percentile", f"SELECT PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY income_total) AS a0 FROM {I}", "R3"),
    ("incomes as groups", f"SELECT income_total AS d0, COUNT(*) AS a0 FROM {I} GROUP BY income_total", "R3"),
    ("incomes", f"SELECT income_total AS d0 FROM {I}", "R0"),
    ("incomes as a list", f"SELECT LIST(income_total) AS a0 FROM {I}", "R0"),
    ("a breakpoint of one's own", f"SELECT COUNT(*) AS a0 FROM {I} WHERE income_total < 5001", "R3"),
    ("a power that selects", f"SELECT SUM(POWER(0, ABS(income_total - 5000))) AS a0 FROM {I}", "R3"),
    ("an error that tells", f"SELECT SUM(1 / (income_total - 5000)) AS a0 FROM {I}", "R13"),
    ("one person's share", f"SELECT SUM(CASE WHEN id_number = '990101196001010014' THEN income_total END) AS a0 FROM {I}", "R2"),
]  # fmt: skip

FINER = [
    ("single years", f"SELECT birth_year AS d0, COUNT(*) AS a0 FROM {P} GROUP BY birth_year", "R4"),
    ("bands of two", f"SELECT FLOOR(birth_year / 2) * 2 AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", "R4"),
    ("bands that are moved", f"SELECT FLOOR((birth_year + 1) / 5) * 5 AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", "R4"),
    ("bands across bands", f"SELECT FLOOR(birth_year / 5) * 5 AS d0, FLOOR(birth_year / 7) * 7 AS d1, COUNT(*) AS a0 FROM {P} GROUP BY 1, 2", "R4"),
    ("a year as a date", f"SELECT DATE_TRUNC('day', birth_year) AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", "R4"),
    ("the rest of a band", f"SELECT birth_year % 5 AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", "R4"),
]  # fmt: skip

SHAPES = [
    ("nothing", " ", "R0"),
    ("two statements", f"SELECT COUNT(*) AS a0 FROM {P}; SELECT 1", "R0"),
    ("another verb", f"DELETE FROM {P}", "R0"),
    ("a file", "SELECT COUNT(*) AS a0 FROM '/etc/passwd'", "R0"),
    ("a function of the host", "SELECT GETENV('HOME') AS a0", "R0"),
    ("settings", f"SELECT COUNT(*) AS a0 FROM {P} WHERE current_setting('memory_limit') <> ''", "R0"),
    ("another schema", "SELECT COUNT(*) AS a0 FROM information_schema.tables", "R0"),
    ("a table of nobody", "SELECT COUNT(*) AS a0 FROM ga.nothing", "R0"),
    ("a column of nobody", f"SELECT COUNT(*) AS a0 FROM {P} WHERE nothing = 1", "R0"),
    ("two blocks", f"SELECT COUNT(*) AS a0 FROM {P} UNION ALL SELECT COUNT(*) FROM {P}", "R0"),
    ("a difference of rows", f"SELECT id_number FROM {P} EXCEPT SELECT id_number FROM {P} WHERE sex = '1'", "R0"),
    ("a lateral", f"SELECT COUNT(*) AS a0 FROM {P}, LATERAL (SELECT 1) x", "R10"),
    ("a cross join", f"SELECT COUNT(*) AS a0 FROM {P} a CROSS JOIN {P} b", "R10"),
    ("a correlated subquery", f"SELECT COUNT(*) AS a0 FROM {P} p WHERE EXISTS (SELECT 1 FROM {P} q WHERE q.household_id = p.household_id AND q.sex <> p.sex)", "R12"),
    ("recursion", f"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) AS a0 FROM r, {P}", "R0"),
    ("too long", f"SELECT COUNT(*) AS a0 FROM {P} WHERE sex = '" + "x" * 400_000 + "'", "R0"),
    ("too long by a comment", f"SELECT COUNT(*) AS a0 FROM {P} -- " + "x" * 400_000, "R0"),
    ("parentheses", f"SELECT COUNT(*) AS a0 FROM {P} WHERE " + "(" * 3_000 + "sex = '1'" + ")" * 3_000, "R0"),
    ("negations", f"SELECT COUNT(*) AS a0 FROM {P} WHERE " + "NOT " * 2_000 + "sex = '1'", "R0"),
    ("a long sum", f"SELECT COUNT(*) AS a0 FROM {P} WHERE birth_year = " + "1 + " * 2_000 + "1", "R0"),
    ("a huge number", f"SELECT COUNT(*) AS a0 FROM {P} WHERE birth_year > " + "9" * 60, "R0"),
    ("a number beyond floats", f"SELECT COUNT(*) AS a0 FROM {P} WHERE birth_year > 1e400", "R0"),
    ("a zero byte", f"SELECT COUNT(*) AS a0 FROM {P} WHERE sex = '\0'", "R0"),
    ("a name in other letters", "SELECT COUNT(*) AS a0 FROM ga.popul\u0430tion", "R0"),
    ("an escaped name", 'SELECT COUNT(*) AS a0 FROM ga.U&"p\\006fpulation"', "R0"),
]  # fmt: skip
