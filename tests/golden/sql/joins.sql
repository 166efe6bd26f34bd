-- title: an inner join
-- subject: analyst
SELECT p.sex, COUNT(*), SUM(i.amount) FROM ga.person p JOIN ga.income i ON p.id = i.id GROUP BY p.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0", SUM("t1"."amount") AS "a1" FROM "ga"."person" AS "t0" JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "sum", cells_0."__mark_a1" AS "__mark_sum" FROM cells_0;

-- title: an inner join the other way round
-- subject: analyst
SELECT p.sex, COUNT(*) FROM ga.person p JOIN ga.income i ON i.id = p.id AND i.year = 2024 GROUP BY p.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" WHERE ("t1"."year" = 2024) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: USING
-- subject: analyst
SELECT sex, COUNT(*) FROM ga.person JOIN ga.income USING (id) GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a left join with its own condition
-- subject: analyst
SELECT p.sex, COUNT(*), COUNT(i.amount), SUM(i.amount) FROM ga.person p LEFT JOIN ga.income i ON p.id = i.id AND i.year = 2024 GROUP BY p.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0", COUNT(CASE WHEN (NOT ("t1"."amount" IS NULL)) THEN 1 END) AS "a1", SUM("t1"."amount") AS "a2" FROM "ga"."person" AS "t0" LEFT JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" AND ("t1"."year" = 2024) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "count_2", cells_0."__mark_a1" AS "__mark_count_2", cells_0.a2 AS "sum", cells_0."__mark_a2" AS "__mark_sum" FROM cells_0;

-- title: an anti join
-- subject: analyst
SELECT p.sex, COUNT(*) FROM ga.person p LEFT JOIN ga.income i ON p.id = i.id WHERE i.id IS NULL GROUP BY p.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" LEFT JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" WHERE ("t1"."id" IS NULL) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: an anti join with a condition and a filter
-- subject: analyst
SELECT p.sex, COUNT(*) FROM ga.person p LEFT JOIN ga.income i ON p.id = i.id AND i.amount > 1000 WHERE i.id IS NULL AND p.local GROUP BY p.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" LEFT JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" AND ("t1"."amount" > 1000) WHERE "t0"."local" AND ("t1"."id" IS NULL) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: two joins
-- subject: analyst
SELECT s.险种, COUNT(*), SUM(i.amount) FROM ga.person p JOIN ga.income i ON p.id = i.id JOIN ga.参保 s ON s.身份证号 = p.id GROUP BY s.险种;
-- fragment cells_0 local ga
SELECT "t2"."险种" AS "d0", COUNT(*) AS "a0", SUM("t1"."amount") AS "a1" FROM "ga"."person" AS "t0" JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" JOIN "ga"."参保" AS "t2" ON "t0"."id" = "t2"."身份证号" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "险种", cells_0."__mark_d0" AS "__mark_险种", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "sum", cells_0."__mark_a1" AS "__mark_sum" FROM cells_0;

-- title: a join with units
-- subject: analyst
SELECT p.sex, COUNT(*), SUM(u.t) FROM ga.person p JOIN (SELECT id, SUM(amount) AS t FROM ga.income GROUP BY id) u ON u.id = p.id GROUP BY p.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0", SUM("t2"."c1") AS "a1" FROM "ga"."person" AS "t0" JOIN (SELECT "t1"."id" AS "c0", SUM("t1"."amount") AS "c1" FROM "ga"."income" AS "t1" GROUP BY 1) AS "t2" ON "t0"."id" = "t2"."c0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "sum", cells_0."__mark_a1" AS "__mark_sum" FROM cells_0;

-- title: a left join with units
-- subject: analyst
SELECT p.sex, COUNT(*), SUM(COALESCE(u.t, 0)) FROM ga.person p LEFT JOIN (SELECT id, SUM(amount) AS t FROM ga.income GROUP BY id HAVING SUM(amount) > 100) u ON u.id = p.id GROUP BY p.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0", SUM(COALESCE("t2"."c1", 0)) AS "a1" FROM "ga"."person" AS "t0" LEFT JOIN (SELECT "t1"."id" AS "c0", SUM("t1"."amount") AS "c1" FROM "ga"."income" AS "t1" GROUP BY 1 HAVING (SUM("t1"."amount") > 100)) AS "t2" ON "t0"."id" = "t2"."c0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "sum", cells_0."__mark_a1" AS "__mark_sum" FROM cells_0;

-- title: a join with a subquery of rows
-- subject: analyst
SELECT p.sex, COUNT(*) FROM ga.person p JOIN (SELECT id FROM ga.income WHERE year = 2024) i ON p.id = i.id GROUP BY p.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" WHERE ("t1"."year" = 2024) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a join inside a logical table
-- subject: analyst
SELECT f.section, COUNT(*), SUM(f.staff) FROM city.firm f JOIN city.visit v ON f.code = v.code WHERE v.passed = 1 GROUP BY f.section;
-- fragment cells_0 secure_sum c1, c2, c3
SELECT "t0"."section" AS "d0", COUNT(*) AS "a0", SUM("t0"."staff") AS "a1" FROM "city"."firm" AS "t0" JOIN "city"."visit" AS "t1" ON "t0"."code" = "t1"."code" WHERE ("t1"."passed" = 1) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "section", cells_0."__mark_d0" AS "__mark_section", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "sum", cells_0."__mark_a1" AS "__mark_sum" FROM cells_0;

-- title: a table joined with itself
-- subject: analyst
SELECT a.sex, COUNT(*) FROM ga.person a JOIN ga.person b ON a.household = b.household GROUP BY a.sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" JOIN "ga"."person" AS "t1" ON "t0"."household" = "t1"."household" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;
