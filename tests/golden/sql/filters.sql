-- title: codes in a list
-- subject: analyst
SELECT sex, COUNT(*) FROM ga.person WHERE region IN ('990101', '990102') GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ("t0"."region" IN ('990101', '990102')) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a range of codes
-- subject: analyst
SELECT sex, COUNT(*) FROM ga.person WHERE region BETWEEN '990101' AND '990102' GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ("t0"."region" BETWEEN '990101' AND '990102') GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a measure at a breakpoint
-- subject: analyst
SELECT sex, COUNT(*) FROM ga.person WHERE education >= 12 GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ("t0"."education" >= 12) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a comparison that moves to its column
-- subject: analyst
SELECT sex, COUNT(*) FROM ga.person WHERE 2024 - education <= 2012 GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ("t0"."education" >= 12) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a range of dates on bucket starts
-- subject: analyst
SELECT sex, COUNT(*) FROM ga.person WHERE born >= '1980-01-01' AND born < DATE '2000-01-01' GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE (("t0"."born" >= CAST('1980-01-01' AS DATE)) AND ("t0"."born" < CAST('2000-01-01' AS DATE))) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a range that ends on a last day
-- subject: analyst
SELECT COUNT(*) FROM ga.person WHERE born BETWEEN '1980-01-01' AND '1999-12-31';
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ("t0"."born" BETWEEN CAST('1980-01-01' AS DATE) AND CAST('1999-12-31' AS DATE));
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a bucket against a start
-- subject: analyst
SELECT COUNT(*) FROM ga.person WHERE DATE_TRUNC('year', born) = '1980-01-01' OR EXTRACT(year FROM born) = 1990;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ((DATE_TRUNC('YEAR', "t0"."born") = CAST('1980-01-01' AS DATE)) OR (EXTRACT(YEAR FROM "t0"."born") = 1990));
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: missing and not missing
-- subject: analyst
SELECT COUNT(*) FROM ga.income WHERE kind IS NULL OR NOT steps IS NULL AND firm IS NOT NULL;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."income" AS "t0" WHERE (("t0"."kind" IS NULL) OR ((NOT ("t0"."steps" IS NULL)) AND (NOT ("t0"."firm" IS NULL))));
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: three values
-- subject: analyst
SELECT sex, COUNT(*) FROM ga.person WHERE NOT local GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE (NOT "t0"."local") GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: IS TRUE and IS NOT TRUE
-- subject: analyst
SELECT sex, COUNT(*) FROM ga.person WHERE (local OR education > 9) IS TRUE AND (education < 6) IS NOT TRUE GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ((("t0"."local" OR ("t0"."education" > 9)) IS TRUE) AND (NOT (("t0"."education" < 6) IS TRUE))) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: IS FALSE
-- subject: analyst
SELECT COUNT(*) FROM ga.person WHERE (local AND education >= 9) IS FALSE;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ((NOT ("t0"."local" AND ("t0"."education" >= 9))) IS TRUE);
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a quote and a backslash in a literal
-- subject: analyst
SELECT COUNT(*) FROM ga.person WHERE region <> 'O''Brien\: -- no comment';
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ("t0"."region" <> 'O''Brien\: -- no comment');
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a number beyond a float's integers
-- subject: analyst
SELECT COUNT(*) FROM ga.person WHERE birth_year < 9007199254740993;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ("t0"."birth_year" < 9007199254740993);
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a cast that widens
-- subject: analyst
SELECT AVG(education::numeric) AS a, AVG(CAST(education AS double precision)) AS b FROM ga.person;
-- fragment cells_0 local ga
SELECT AVG("t0"."education") AS "a0" FROM "ga"."person" AS "t0";
-- post
SELECT cells_0.a0 AS "a", cells_0."__mark_a0" AS "__mark_a", cells_0.a0 AS "b", cells_0."__mark_a0" AS "__mark_b" FROM cells_0;
