-- title: people by how often they occur
-- subject: analyst
SELECT COUNT(*) AS people, AVG(n) AS mean FROM (SELECT id, COUNT(*) AS n FROM ga.income GROUP BY id) u;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0", AVG("t1"."c1") AS "a1" FROM (SELECT "t0"."id" AS "c0", COUNT(*) AS "c1" FROM "ga"."income" AS "t0" GROUP BY 1) AS "t1";
-- post
SELECT cells_0.a0 AS "people", cells_0."__mark_a0" AS "__mark_people", cells_0.a1 AS "mean", cells_0."__mark_a1" AS "__mark_mean" FROM cells_0;

-- title: sums of sums
-- subject: analyst
SELECT COUNT(*), SUM(total), STDDEV_SAMP(total) FROM (SELECT id, SUM(amount) AS total FROM ga.income GROUP BY id) u;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0", SUM("t1"."c1") AS "a1", STDDEV_SAMP("t1"."c1") AS "a2" FROM (SELECT "t0"."id" AS "c0", SUM("t0"."amount") AS "c1" FROM "ga"."income" AS "t0" GROUP BY 1) AS "t1";
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "sum", cells_0."__mark_a1" AS "__mark_sum", cells_0.a2 AS "stddev_samp", cells_0."__mark_a2" AS "__mark_stddev_samp" FROM cells_0;

-- title: HAVING of a block per unit
-- subject: analyst
SELECT COUNT(*) FROM (SELECT id FROM ga.income GROUP BY id HAVING COUNT(*) >= 3 AND SUM(amount) > 1000) u;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM (SELECT "t0"."id" AS "c0", COUNT(*) AS "c1", SUM("t0"."amount") AS "c2" FROM "ga"."income" AS "t0" GROUP BY 1 HAVING ((COUNT(*) >= 3) AND (SUM("t0"."amount") > 1000))) AS "t1";
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: HAVING on a grouping dimension that is not shown
-- subject: analyst
SELECT COUNT(*) FROM (SELECT id, SUM(steps) AS s FROM ga.income GROUP BY id, year HAVING year >= 2023) u;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM (SELECT "t0"."id" AS "c0", SUM("t0"."steps") AS "c1", "t0"."year" AS "c2" FROM "ga"."income" AS "t0" GROUP BY 1, 3 HAVING ("t0"."year" >= 2023)) AS "t1";
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: bands of a total per unit
-- subject: analyst
SELECT CASE WHEN total < 1000 THEN '低' ELSE '高' END AS band, COUNT(*) FROM (SELECT id, SUM(amount) AS total FROM ga.income GROUP BY id) u GROUP BY 1;
-- fragment cells_0 local ga
SELECT CASE WHEN ("t1"."c1" < 1000) THEN '低' ELSE '高' END AS "d0", COUNT(*) AS "a0" FROM (SELECT "t0"."id" AS "c0", SUM("t0"."amount") AS "c1" FROM "ga"."income" AS "t0" GROUP BY 1) AS "t1" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "band", cells_0."__mark_d0" AS "__mark_band", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a dimension beside the key
-- subject: analyst
SELECT year, COUNT(*), AVG(s) FROM (SELECT id, year, SUM(steps) AS s FROM ga.income GROUP BY id, year) u GROUP BY year;
-- fragment cells_0 local ga
SELECT "t1"."c1" AS "d0", COUNT(*) AS "a0", AVG("t1"."c2") AS "a1" FROM (SELECT "t0"."id" AS "c0", "t0"."year" AS "c1", SUM("t0"."steps") AS "c2" FROM "ga"."income" AS "t0" GROUP BY 1, 2) AS "t1" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "avg", cells_0."__mark_a1" AS "__mark_avg" FROM cells_0;

-- title: another unit
-- subject: analyst
SELECT AVG(n) FROM (SELECT household, COUNT(*) AS n FROM ga.person GROUP BY household) h;
-- fragment cells_0 local ga
SELECT AVG("t1"."c1") AS "a0" FROM (SELECT "t0"."household" AS "c0", COUNT(*) AS "c1" FROM "ga"."person" AS "t0" GROUP BY 1) AS "t1";
-- post
SELECT cells_0.a0 AS "avg", cells_0."__mark_a0" AS "__mark_avg" FROM cells_0;

-- title: a mean per unit is rounded to six places
-- subject: analyst
-- plain: SELECT SUM(ROUND(AVG, 6)) FROM (SELECT id, AVG(amount) AS AVG FROM ga.income GROUP BY id) u
SELECT SUM(m) FROM (SELECT id, AVG(amount) AS m FROM ga.income GROUP BY id) u;
-- fragment cells_0 local ga
SELECT SUM("t1"."c1") AS "a0" FROM (SELECT "t0"."id" AS "c0", AVG("t0"."amount") AS "c1" FROM "ga"."income" AS "t0" GROUP BY 1) AS "t1";
-- post
SELECT cells_0.a0 AS "sum", cells_0."__mark_a0" AS "__mark_sum" FROM cells_0;

-- title: distinct firms per unit
-- subject: analyst
SELECT SUM(f) FROM (SELECT id, COUNT(DISTINCT firm) AS f FROM ga.income GROUP BY id) u;
-- fragment cells_0 local ga
SELECT SUM("t1"."c1") AS "a0" FROM (SELECT "t0"."id" AS "c0", COUNT(DISTINCT "t0"."firm") AS "c1" FROM "ga"."income" AS "t0" GROUP BY 1) AS "t1";
-- post
SELECT cells_0.a0 AS "sum", cells_0."__mark_a0" AS "__mark_sum" FROM cells_0;

-- title: units of units
-- subject: analyst
SELECT COUNT(*), SUM(n) FROM (SELECT id, SUM(t) AS n FROM (SELECT id, year, SUM(steps) AS t FROM ga.income GROUP BY id, year) a GROUP BY id) b;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0", SUM("t2"."c1") AS "a1" FROM (SELECT "t1"."c0" AS "c0", SUM("t1"."c2") AS "c1" FROM (SELECT "t0"."id" AS "c0", "t0"."year" AS "c1", SUM("t0"."steps") AS "c2" FROM "ga"."income" AS "t0" GROUP BY 1, 2) AS "t1" GROUP BY 1) AS "t2";
-- post
SELECT cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count", cells_0.a1 AS "sum", cells_0."__mark_a1" AS "__mark_sum" FROM cells_0;

-- title: a filtered sum per unit
-- subject: analyst
SELECT SUM(a), COUNT(a) FROM (SELECT id, SUM(amount) FILTER (WHERE year = 2024) AS a FROM ga.income GROUP BY id) u;
-- fragment cells_0 local ga
SELECT SUM(CASE WHEN ("t1"."c1" <> 0) THEN "t1"."c1" WHEN ("t1"."c1" = 0) THEN 0 END) AS "a0", COUNT(CASE WHEN (NOT ("t1"."c1" IS NULL)) THEN 1 END) AS "a1" FROM (SELECT "t0"."id" AS "c0", SUM("t0"."amount") FILTER(WHERE ("t0"."year" = 2024)) AS "c1" FROM "ga"."income" AS "t0" GROUP BY 1) AS "t1";
-- post
SELECT cells_0.a0 AS "sum", cells_0."__mark_a0" AS "__mark_sum", cells_0.a1 AS "count", cells_0."__mark_a1" AS "__mark_count" FROM cells_0;
