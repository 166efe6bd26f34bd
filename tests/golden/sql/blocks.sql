-- title: a CTE of rows
-- subject: analyst
WITH young AS (SELECT id, sex FROM ga.person WHERE birth_year >= 1990) SELECT sex, COUNT(*) FROM young GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t1"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t1" WHERE ("t1"."birth_year" >= 1990) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a CTE of rows used twice
-- subject: analyst
WITH i AS (SELECT id, year, amount FROM ga.income) SELECT COUNT(*), SUM(b.amount) FROM i a JOIN i b ON a.id = b.id WHERE a.year = 2022;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0", SUM("t2"."amount") AS "a1" FROM "ga"."income" AS "t1" JOIN "ga"."income" AS "t2" ON "t1"."id" = "t2"."id" WHERE ("t1"."year" = 2022);
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "sum", cells_0."__mark_a1" AS "__mark_sum" FROM cells_0;

-- title: a CTE of released cells
-- subject: analyst
WITH c AS (SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region) SELECT region, n, n * 2 AS twice FROM c WHERE n > 10 ORDER BY n DESC, region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT "c"."region" AS "region", "c"."__mark_region" AS "__mark_region", "c"."n" AS "n", "c"."__mark_n" AS "__mark_n", CASE WHEN "c"."__mark_n" IS NULL THEN "c"."n" * 2 END AS "twice", "c"."__mark_n" AS "__mark_twice" FROM (SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0) AS "c" WHERE "c"."n" > 10 ORDER BY "n" DESC, "region" ASC;

-- title: released cells joined over departments
-- subject: analyst
SELECT a.region, a.n, b.firms FROM (SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region) a JOIN (SELECT region, COUNT(*) AS firms FROM city.firm GROUP BY region) b ON a.region = b.region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- fragment cells_1 secure_sum c1, c2, c3
SELECT "t1"."region" AS "d0", COUNT(*) AS "a0" FROM "city"."firm" AS "t1" GROUP BY 1;
-- post
SELECT "a"."region" AS "region", "a"."__mark_region" AS "__mark_region", "a"."n" AS "n", "a"."__mark_n" AS "__mark_n", "b"."firms" AS "firms", "b"."__mark_firms" AS "__mark_firms" FROM (SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0) AS "a" JOIN (SELECT cells_1.d0 AS "region", cells_1."__mark_d0" AS "__mark_region", cells_1.a0 AS "firms", cells_1."__mark_a0" AS "__mark_firms" FROM cells_1) AS "b" ON "a"."region" = "b"."region";

-- title: released cells, left joined
-- subject: analyst
SELECT a.region, b.n FROM (SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region) a LEFT JOIN (SELECT region, COUNT(*) AS n FROM ga.person WHERE region <> '990101' GROUP BY region) b ON a.region = b.region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- fragment cells_1 local ga
SELECT "t1"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t1" WHERE ("t1"."region" <> '990101') GROUP BY 1;
-- post
SELECT "a"."region" AS "region", "a"."__mark_region" AS "__mark_region", "b"."n" AS "n", "b"."__mark_n" AS "__mark_n" FROM (SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0) AS "a" LEFT JOIN (SELECT cells_1.d0 AS "region", cells_1."__mark_d0" AS "__mark_region", cells_1.a0 AS "n", cells_1."__mark_a0" AS "__mark_n" FROM cells_1) AS "b" ON "a"."region" = "b"."region";

-- title: released cells, cross joined
-- subject: analyst
SELECT a.region, a.n, b.n AS whole FROM (SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region) a CROSS JOIN (SELECT COUNT(*) AS n FROM ga.person) b;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- fragment cells_1 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t1";
-- post
SELECT "a"."region" AS "region", "a"."__mark_region" AS "__mark_region", "a"."n" AS "n", "a"."__mark_n" AS "__mark_n", "b"."n" AS "whole", "b"."__mark_n" AS "__mark_whole" FROM (SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0) AS "a" CROSS JOIN (SELECT cells_1.a0 AS "n", cells_1."__mark_a0" AS "__mark_n" FROM cells_1) AS "b";

-- title: released cells aggregated again
-- subject: analyst
SELECT COUNT(*), SUM(n), MAX(n), MIN(n), AVG(n) FROM (SELECT region, sex, COUNT(*) AS n FROM ga.person GROUP BY region, sex) c;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", "t0"."sex" AS "d1", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1, 2;
-- post
SELECT COUNT(*) AS "count", CAST(NULL AS TEXT) AS "__mark_count", SUM("c"."n") AS "sum", CASE WHEN (SUM("c"."n")) IS NULL THEN MAX("c"."__mark_n") END AS "__mark_sum", MAX("c"."n") AS "max", CASE WHEN (MAX("c"."n")) IS NULL THEN MAX("c"."__mark_n") END AS "__mark_max", MIN("c"."n") AS "min", CASE WHEN (MIN("c"."n")) IS NULL THEN MAX("c"."__mark_n") END AS "__mark_min", AVG("c"."n") AS "avg", CASE WHEN (AVG("c"."n")) IS NULL THEN MAX("c"."__mark_n") END AS "__mark_avg" FROM (SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.d1 AS "sex", cells_0."__mark_d1" AS "__mark_sex", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0) AS "c";

-- title: released cells grouped again
-- subject: analyst
SELECT sex, SUM(n) AS n FROM (SELECT region, sex, COUNT(*) AS n FROM ga.person GROUP BY region, sex) c GROUP BY 1 HAVING SUM(n) > 5 ORDER BY 2 DESC;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", "t0"."sex" AS "d1", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1, 2;
-- post
SELECT "c"."sex" AS "sex", CASE WHEN ("c"."sex") IS NULL THEN MAX("c"."__mark_sex") END AS "__mark_sex", SUM("c"."n") AS "n", CASE WHEN (SUM("c"."n")) IS NULL THEN MAX("c"."__mark_n") END AS "__mark_n" FROM (SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.d1 AS "sex", cells_0."__mark_d1" AS "__mark_sex", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0) AS "c" GROUP BY "c"."sex" HAVING SUM("c"."n") > 5 ORDER BY "n" DESC;

-- title: UNION ALL
-- subject: analyst
SELECT 'sex' AS by, sex AS label, COUNT(*) AS n FROM ga.person GROUP BY sex UNION ALL SELECT 'region', region, COUNT(*) FROM ga.person GROUP BY region ORDER BY 3 DESC, 2 LIMIT 4;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- fragment cells_1 local ga
SELECT "t1"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t1" GROUP BY 1;
-- post
SELECT * FROM (SELECT 'sex' AS "by", CAST(NULL AS TEXT) AS "__mark_by", cells_0.d0 AS "label", cells_0."__mark_d0" AS "__mark_label", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0) AS __u0 UNION ALL SELECT * FROM (SELECT 'region' AS "column", CAST(NULL AS TEXT) AS "__mark_column", cells_1.d0 AS "region", cells_1."__mark_d0" AS "__mark_region", cells_1.a0 AS "count", cells_1."__mark_a0" AS "__mark_count" FROM cells_1) AS __u1 ORDER BY "n" DESC, "label" ASC LIMIT 4;

-- title: UNION ALL of three
-- subject: analyst
SELECT COUNT(*) AS n FROM ga.person UNION ALL SELECT COUNT(*) FROM ga.income UNION ALL SELECT COUNT(*) FROM city.firm;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0";
-- fragment cells_1 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."income" AS "t1";
-- fragment cells_2 secure_sum c1, c2, c3
SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t2";
-- post
SELECT * FROM (SELECT * FROM (SELECT cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0) AS __u0 UNION ALL SELECT * FROM (SELECT cells_1.a0 AS "count", cells_1."__mark_a0" AS "__mark_count" FROM cells_1) AS __u1) AS __u0 UNION ALL SELECT * FROM (SELECT cells_2.a0 AS "count", cells_2."__mark_a0" AS "__mark_count" FROM cells_2) AS __u1;

-- title: a scalar subquery for a share
-- subject: analyst
SELECT sex, COUNT(*) AS n, ROUND(100.0 * COUNT(*) / (SELECT COUNT(*) FROM ga.person), 1) AS share FROM ga.person GROUP BY sex;
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- fragment cells_1 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t1";
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n", CASE WHEN COALESCE(cells_0."__mark_a0", (SELECT __scalar."__mark_count" FROM (SELECT cells_1.a0 AS "count", cells_1."__mark_a0" AS "__mark_count" FROM cells_1) AS __scalar)) IS NULL THEN ROUND(100.0 * cells_0.a0 / NULLIF((SELECT __scalar."count" FROM (SELECT cells_1.a0 AS "count", cells_1."__mark_a0" AS "__mark_count" FROM cells_1) AS __scalar), 0), 1) END AS "share", COALESCE(cells_0."__mark_a0", (SELECT __scalar."__mark_count" FROM (SELECT cells_1.a0 AS "count", cells_1."__mark_a0" AS "__mark_count" FROM cells_1) AS __scalar)) AS "__mark_share" FROM cells_0;

-- title: nothing of any table
-- subject: analyst
SELECT 1 + 1 AS two, UPPER('a') AS a;
-- post
SELECT 1 + 1 AS "two", CAST(NULL AS TEXT) AS "__mark_two", UPPER('a') AS "a", CAST(NULL AS TEXT) AS "__mark_a";
