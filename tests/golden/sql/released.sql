-- title: HAVING, ORDER BY and LIMIT see released values
-- subject: analyst
SELECT region, sex, COUNT(*) AS n FROM ga.person GROUP BY region, sex HAVING COUNT(*) > 20 ORDER BY n DESC, region, sex LIMIT 3 OFFSET 1;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", "t0"."sex" AS "d1", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1, 2;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.d1 AS "sex", cells_0."__mark_d1" AS "__mark_sex", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0 WHERE cells_0.a0 > 20 ORDER BY "n" DESC, "region" ASC, "sex" ASC LIMIT 3 OFFSET 1;

-- title: FETCH
-- subject: analyst
SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region ORDER BY 2 DESC, 1 FETCH FIRST 2 ROWS ONLY;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0 ORDER BY "n" DESC, "region" ASC LIMIT 2;

-- title: ORDER BY an aggregate that is not shown
-- subject: analyst
SELECT region FROM ga.person GROUP BY region ORDER BY AVG(education) DESC;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", AVG("t0"."education") AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region" FROM cells_0 ORDER BY cells_0.a0 DESC;

-- title: ordinals and aliases
-- subject: analyst
SELECT region AS r, sex AS s, COUNT(*) AS n FROM ga.person GROUP BY 1, s ORDER BY 3 DESC, r, 2;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", "t0"."sex" AS "d1", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1, 2;
-- post
SELECT cells_0.d0 AS "r", cells_0."__mark_d0" AS "__mark_r", cells_0.d1 AS "s", cells_0."__mark_d1" AS "__mark_s", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0 ORDER BY "n" DESC, "r" ASC, "s" ASC;

-- title: DISTINCT labels
-- subject: analyst
SELECT DISTINCT region, sex FROM ga.person;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", "t0"."sex" AS "d1", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1, 2;
-- post
SELECT DISTINCT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.d1 AS "sex", cells_0."__mark_d1" AS "__mark_sex" FROM cells_0;

-- title: DISTINCT of grouped cells
-- subject: analyst
SELECT DISTINCT sex FROM ga.person GROUP BY region, sex;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", "t0"."sex" AS "d1", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1, 2;
-- post
SELECT DISTINCT cells_0.d1 AS "sex", cells_0."__mark_d1" AS "__mark_sex" FROM cells_0;

-- title: a ratio of aggregates
-- subject: analyst
-- plain: SELECT region, SUM(education) / CAST(COUNT(education) AS DOUBLE PRECISION), NULL FROM ga.person GROUP BY region
SELECT region, SUM(education) / COUNT(education) AS mean, SUM(education) / NULLIF(COUNT(*) - COUNT(*), 0) AS none FROM ga.person GROUP BY region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", SUM("t0"."education") AS "a0", COUNT(CASE WHEN (NOT ("t0"."education" IS NULL)) THEN 1 END) AS "a1", COUNT(*) AS "a2" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", CASE WHEN COALESCE(cells_0."__mark_a0", cells_0."__mark_a1") IS NULL THEN cells_0.a0 / NULLIF(cells_0.a1, 0) END AS "mean", COALESCE(cells_0."__mark_a0", cells_0."__mark_a1") AS "__mark_mean", CASE WHEN COALESCE(cells_0."__mark_a0", cells_0."__mark_a2") IS NULL THEN cells_0.a0 / NULLIF(NULLIF(cells_0.a2 - cells_0.a2, 0), 0) END AS "none", COALESCE(cells_0."__mark_a0", cells_0."__mark_a2") AS "__mark_none" FROM cells_0;

-- title: a division by zero is missing
-- subject: analyst
-- plain: SELECT region, NULL FROM ga.person GROUP BY region
SELECT region, 1.0 / (COUNT(*) - COUNT(*)) AS gone FROM ga.person GROUP BY region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", CASE WHEN cells_0."__mark_a0" IS NULL THEN 1.0 / NULLIF((cells_0.a0 - cells_0.a0), 0) END AS "gone", cells_0."__mark_a0" AS "__mark_gone" FROM cells_0;

-- title: a rank over groups
-- subject: analyst
SELECT region, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS place FROM ga.person GROUP BY region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n", CASE WHEN cells_0."__mark_a0" IS NULL THEN RANK() OVER (ORDER BY cells_0.a0 DESC) END AS "place", cells_0."__mark_a0" AS "__mark_place" FROM cells_0;

-- title: a share within a partition
-- subject: analyst
SELECT region, sex, COUNT(*) AS n, SUM(COUNT(*)) OVER (PARTITION BY region) AS whole FROM ga.person GROUP BY region, sex;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", "t0"."sex" AS "d1", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1, 2;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.d1 AS "sex", cells_0."__mark_d1" AS "__mark_sex", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n", CASE WHEN COALESCE(cells_0."__mark_a0", cells_0."__mark_d0") IS NULL THEN SUM(cells_0.a0) OVER (PARTITION BY cells_0.d0) END AS "whole", COALESCE(cells_0."__mark_a0", cells_0."__mark_d0") AS "__mark_whole" FROM cells_0;

-- title: a running total and the one before
-- subject: analyst
SELECT region, SUM(COUNT(*)) OVER (ORDER BY region) AS running, LAG(COUNT(*)) OVER (ORDER BY region) AS before, ROW_NUMBER() OVER (ORDER BY region) AS place FROM ga.person GROUP BY region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", CASE WHEN COALESCE(cells_0."__mark_a0", cells_0."__mark_d0") IS NULL THEN SUM(cells_0.a0) OVER (ORDER BY cells_0.d0) END AS "running", COALESCE(cells_0."__mark_a0", cells_0."__mark_d0") AS "__mark_running", CASE WHEN COALESCE(cells_0."__mark_a0", cells_0."__mark_d0") IS NULL THEN LAG(cells_0.a0) OVER (ORDER BY cells_0.d0) END AS "before", COALESCE(cells_0."__mark_a0", cells_0."__mark_d0") AS "__mark_before", CASE WHEN cells_0."__mark_d0" IS NULL THEN ROW_NUMBER() OVER (ORDER BY cells_0.d0) END AS "place", cells_0."__mark_d0" AS "__mark_place" FROM cells_0;

-- title: a CASE over aggregates
-- subject: analyst
SELECT region, CASE WHEN COUNT(*) > 80 THEN '多' ELSE '少' END AS size FROM ga.person GROUP BY region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", CASE WHEN cells_0."__mark_a0" IS NULL THEN CASE WHEN cells_0.a0 > 80 THEN '多' ELSE '少' END END AS "size", cells_0."__mark_a0" AS "__mark_size" FROM cells_0;

-- title: text of labels
-- subject: analyst
SELECT region || '/' || sex AS both, LENGTH(region) AS l, SUBSTRING(region FROM 5 FOR 2) AS county, COUNT(*) FROM ga.person GROUP BY region, sex;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", "t0"."sex" AS "d1", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1, 2;
-- post
SELECT CASE WHEN COALESCE(cells_0."__mark_d0", cells_0."__mark_d1") IS NULL THEN cells_0.d0 || '/' || cells_0.d1 END AS "both", COALESCE(cells_0."__mark_d0", cells_0."__mark_d1") AS "__mark_both", CASE WHEN cells_0."__mark_d0" IS NULL THEN LENGTH(cells_0.d0) END AS "l", cells_0."__mark_d0" AS "__mark_l", CASE WHEN cells_0."__mark_d0" IS NULL THEN SUBSTRING(cells_0.d0, 5, 2) END AS "county", cells_0."__mark_d0" AS "__mark_county", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a CASE over a dimension in the output
-- subject: analyst
SELECT CASE sex WHEN '1' THEN '男' ELSE '女' END AS 性别, COUNT(*) AS 人数 FROM ga.person GROUP BY CASE sex WHEN '1' THEN '男' ELSE '女' END;
-- fragment cells_0 local ga
SELECT CASE WHEN ("t0"."sex" = '1') THEN '男' ELSE '女' END AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "性别", cells_0."__mark_d0" AS "__mark_性别", cells_0.a0 AS "人数", cells_0."__mark_a0" AS "__mark_人数" FROM cells_0;

-- title: a default for a missing label
-- subject: analyst
SELECT COALESCE(kind, '不详') AS kind, COUNT(*) FROM ga.income GROUP BY 1;
-- fragment cells_0 local ga
SELECT COALESCE("t0"."kind", '不详') AS "d0", COUNT(*) AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "kind", cells_0."__mark_d0" AS "__mark_kind", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: Chinese names, quoted and not
-- subject: analyst
SELECT "险种" AS 种类, SUM(缴费额) AS "合计 元" FROM ga.参保 AS 表 WHERE 表.险种 <> '工伤' GROUP BY 险种;
-- fragment cells_0 local ga
SELECT "t0"."险种" AS "d0", SUM("t0"."缴费额") AS "a0" FROM "ga"."参保" AS "t0" WHERE ("t0"."险种" <> '工伤') GROUP BY 1;
-- post
SELECT cells_0.d0 AS "种类", cells_0."__mark_d0" AS "__mark_种类", cells_0.a0 AS "合计 元", cells_0."__mark_a0" AS "__mark_合计 元" FROM cells_0;

-- title: names are folded unless quoted
-- subject: analyst
SELECT REGION AS "Region", Count(*) AS N FROM GA.Person GROUP BY Region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "Region", cells_0."__mark_d0" AS "__mark_Region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0;

-- title: rounding, bounds and signs
-- subject: analyst
SELECT region, ROUND(AVG(education), 2) AS r, ABS(-COUNT(*)) AS a, GREATEST(COUNT(*), 80) AS g, LEAST(COUNT(*), 80) AS l, FLOOR(AVG(education)) AS f, CEIL(AVG(education)) AS c, SIGN(COUNT(*)) AS s FROM ga.person GROUP BY region;
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", AVG("t0"."education") AS "a0", COUNT(*) AS "a1" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", CASE WHEN cells_0."__mark_a0" IS NULL THEN ROUND(cells_0.a0, 2) END AS "r", cells_0."__mark_a0" AS "__mark_r", CASE WHEN cells_0."__mark_a1" IS NULL THEN ABS(-cells_0.a1) END AS "a", cells_0."__mark_a1" AS "__mark_a", CASE WHEN cells_0."__mark_a1" IS NULL THEN GREATEST(cells_0.a1, 80) END AS "g", cells_0."__mark_a1" AS "__mark_g", CASE WHEN cells_0."__mark_a1" IS NULL THEN LEAST(cells_0.a1, 80) END AS "l", cells_0."__mark_a1" AS "__mark_l", CASE WHEN cells_0."__mark_a0" IS NULL THEN FLOOR(cells_0.a0) END AS "f", cells_0."__mark_a0" AS "__mark_f", CASE WHEN cells_0."__mark_a0" IS NULL THEN CEIL(cells_0.a0) END AS "c", cells_0."__mark_a0" AS "__mark_c", CASE WHEN cells_0."__mark_a1" IS NULL THEN SIGN(cells_0.a1) END AS "s", cells_0."__mark_a1" AS "__mark_s" FROM cells_0;

-- title: a constant beside a group
-- subject: analyst
SELECT '全市' AS city, 1 AS one, COUNT(*) AS n FROM ga.person;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0";
-- post
SELECT '全市' AS "city", CAST(NULL AS TEXT) AS "__mark_city", 1 AS "one", CAST(NULL AS TEXT) AS "__mark_one", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0;

-- title: a HAVING on a label
-- subject: analyst
SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region HAVING region <> '990101';
-- fragment cells_0 local ga
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0 WHERE cells_0.d0 <> '990101';
