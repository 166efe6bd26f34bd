-- title: counts of rows, of a column, of a key
-- subject: analyst
SELECT COUNT(*) AS n, COUNT(education) AS known, COUNT(DISTINCT id) AS people FROM ga.person;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0", COUNT(CASE WHEN (NOT ("t0"."education" IS NULL)) THEN 1 END) AS "a1", COUNT(DISTINCT "t0"."id") AS "a2" FROM "ga"."person" AS "t0";
-- post
SELECT cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n", cells_0.a1 AS "known", cells_0."__mark_a1" AS "__mark_known", cells_0.a2 AS "people", cells_0."__mark_a2" AS "__mark_people" FROM cells_0;

-- title: a distinct count of another key
-- subject: analyst
SELECT year, COUNT(DISTINCT firm) AS firms FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", COUNT(DISTINCT "t0"."firm") AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "firms", cells_0."__mark_a0" AS "__mark_firms" FROM cells_0;

-- title: sums of whole numbers and of decimals
-- subject: analyst
SELECT year, SUM(steps) AS steps, SUM(amount) AS amount FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", SUM("t0"."steps") AS "a0", SUM("t0"."amount") AS "a1" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "steps", cells_0."__mark_a0" AS "__mark_steps", cells_0.a1 AS "amount", cells_0."__mark_a1" AS "__mark_amount" FROM cells_0;

-- title: means
-- subject: analyst
SELECT kind, AVG(amount) AS a, AVG(steps) AS s FROM ga.income GROUP BY kind;
-- fragment cells_0 local ga
SELECT "t0"."kind" AS "d0", AVG("t0"."amount") AS "a0", AVG("t0"."steps") AS "a1" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "kind", cells_0."__mark_d0" AS "__mark_kind", cells_0.a0 AS "a", cells_0."__mark_a0" AS "__mark_a", cells_0.a1 AS "s", cells_0."__mark_a1" AS "__mark_s" FROM cells_0;

-- title: variances and deviations
-- subject: analyst
SELECT kind, VAR_SAMP(steps), VAR_POP(steps), STDDEV(steps), STDDEV_SAMP(steps), STDDEV_POP(steps), VARIANCE(steps) FROM ga.income GROUP BY kind;
-- fragment cells_0 local ga
SELECT "t0"."kind" AS "d0", VAR_SAMP("t0"."steps") AS "a0", VAR_POP("t0"."steps") AS "a1", STDDEV_SAMP("t0"."steps") AS "a2", STDDEV_POP("t0"."steps") AS "a3" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "kind", cells_0."__mark_d0" AS "__mark_kind", cells_0.a0 AS "variance", cells_0."__mark_a0" AS "__mark_variance", cells_0.a1 AS "variance_pop", cells_0."__mark_a1" AS "__mark_variance_pop", cells_0.a2 AS "stddev", cells_0."__mark_a2" AS "__mark_stddev", cells_0.a2 AS "stddev_samp", cells_0."__mark_a2" AS "__mark_stddev_samp", cells_0.a3 AS "stddev_pop", cells_0."__mark_a3" AS "__mark_stddev_pop", cells_0.a0 AS "variance_2", cells_0."__mark_a0" AS "__mark_variance_2" FROM cells_0;

-- title: an affine form with a fraction that does not end
-- subject: analyst
SELECT year, SUM(amount / 3 + 2 * steps - 1) AS s FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", SUM(((CAST(("t0"."amount" * 1) AS DOUBLE PRECISION) / 3) + ("t0"."steps" * 2) + -1)) AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "s", cells_0."__mark_a0" AS "__mark_s" FROM cells_0;

-- title: a deviation of a scaled measure
-- subject: analyst
SELECT year, STDDEV_POP(2 * amount) FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", STDDEV_POP(("t0"."amount" * 2)) AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "stddev_pop", cells_0."__mark_a0" AS "__mark_stddev_pop" FROM cells_0;

-- title: FILTER
-- subject: analyst
SELECT year, COUNT(*) FILTER (WHERE kind = '工资') AS wages, SUM(amount) FILTER (WHERE steps >= 5) AS high FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", COUNT(*) FILTER(WHERE ("t0"."kind" = '工资')) AS "a0", SUM("t0"."amount") FILTER(WHERE ("t0"."steps" >= 5)) AS "a1" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "wages", cells_0."__mark_a0" AS "__mark_wages", cells_0.a1 AS "high", cells_0."__mark_a1" AS "__mark_high" FROM cells_0;

-- title: a sum of a CASE
-- subject: analyst
SELECT year, SUM(CASE WHEN kind = '工资' THEN amount ELSE 0 END) AS wages FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", SUM(CASE WHEN ("t0"."kind" = '工资') THEN "t0"."amount" WHEN (NOT (("t0"."kind" = '工资') IS TRUE)) THEN 0 END) AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "wages", cells_0."__mark_a0" AS "__mark_wages" FROM cells_0;

-- title: a sum of a CASE with several affine branches
-- subject: analyst
SELECT year, SUM(CASE WHEN steps > 5 THEN amount WHEN steps <= 0 THEN 2 * amount + 1 END) AS s FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", SUM(CASE WHEN ("t0"."steps" > 5) THEN "t0"."amount" WHEN (("t0"."steps" <= 0) AND (NOT (("t0"."steps" > 5) IS TRUE))) THEN (("t0"."amount" * 2) + 1) END) AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "s", cells_0."__mark_a0" AS "__mark_s" FROM cells_0;

-- title: a mean of a CASE
-- subject: analyst
SELECT year, AVG(CASE WHEN kind = '工资' THEN steps END) AS s FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", AVG(CASE WHEN ("t0"."kind" = '工资') THEN "t0"."steps" END) AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "s", cells_0."__mark_a0" AS "__mark_s" FROM cells_0;

-- title: a count of a CASE
-- subject: analyst
SELECT year, COUNT(CASE WHEN kind = '工资' THEN 1 WHEN steps > 5 THEN 2 END) AS n FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", COUNT(CASE WHEN ("t0"."kind" = '工资') THEN 1 WHEN (("t0"."steps" > 5) AND (NOT (("t0"."kind" = '工资') IS TRUE))) THEN 1 END) AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0;

-- title: a distinct count of a CASE
-- subject: analyst
SELECT year, COUNT(DISTINCT CASE WHEN steps > 5 THEN id END) AS people FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", COUNT(DISTINCT "t0"."id") FILTER(WHERE ("t0"."steps" > 5)) AS "a0" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "people", cells_0."__mark_a0" AS "__mark_people" FROM cells_0;

-- title: missing measures by a default
-- subject: analyst
SELECT year, SUM(COALESCE(amount, 0)) AS s, AVG(COALESCE(steps, 0)) AS m FROM ga.income GROUP BY year;
-- fragment cells_0 local ga
SELECT "t0"."year" AS "d0", SUM(COALESCE("t0"."amount", 0)) AS "a0", AVG(COALESCE("t0"."steps", 0)) AS "a1" FROM "ga"."income" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "year", cells_0."__mark_d0" AS "__mark_year", cells_0.a0 AS "s", cells_0."__mark_a0" AS "__mark_s", cells_0.a1 AS "m", cells_0."__mark_a1" AS "__mark_m" FROM cells_0;

-- title: one aggregate asked twice is computed once
-- subject: analyst
SELECT SUM(steps) AS a, SUM(steps) AS b, SUM(steps) + 1 AS c FROM ga.income;
-- fragment cells_0 local ga
SELECT SUM("t0"."steps") AS "a0" FROM "ga"."income" AS "t0";
-- post
SELECT cells_0.a0 AS "a", cells_0."__mark_a0" AS "__mark_a", cells_0.a0 AS "b", cells_0."__mark_a0" AS "__mark_b", CASE WHEN cells_0."__mark_a0" IS NULL THEN cells_0.a0 + 1 END AS "c", cells_0."__mark_a0" AS "__mark_c" FROM cells_0;

-- title: a count of a constant
-- subject: analyst
SELECT COUNT(1) AS n, COUNT(NULL) AS none FROM ga.person;
-- fragment cells_0 local ga
SELECT COUNT(*) AS "a0", COUNT(CASE WHEN (NOT (NULL IS NULL)) THEN 1 END) AS "a1" FROM "ga"."person" AS "t0";
-- post
SELECT cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n", cells_0.a1 AS "none", cells_0."__mark_a1" AS "__mark_none" FROM cells_0;

-- title: a sum over several departments
-- subject: analyst
SELECT region, COUNT(*) AS n, SUM(capital) AS capital, AVG(staff) AS staff FROM city.firm GROUP BY region;
-- fragment cells_0 secure_sum c1, c2, c3
SELECT "t0"."region" AS "d0", COUNT(*) AS "a0", SUM("t0"."capital") AS "a1", AVG("t0"."staff") AS "a2" FROM "city"."firm" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "region", cells_0."__mark_d0" AS "__mark_region", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n", cells_0.a1 AS "capital", cells_0."__mark_a1" AS "__mark_capital", cells_0.a2 AS "staff", cells_0."__mark_a2" AS "__mark_staff" FROM cells_0;
