-- title: an integer dimension is grouped in bands
-- subject: analyst
-- plain: SELECT birth_year - birth_year % 5, COUNT(*) FROM ga.person GROUP BY 1
SELECT birth_year, COUNT(*) AS n FROM ga.person GROUP BY birth_year;
-- note birth_year was grouped in bands of 5 (shown by their lower ends)
-- fragment cells_0 local ga
SELECT FLOOR(CAST("t0"."birth_year" AS DOUBLE PRECISION) / 5) * 5 AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "birth_year", cells_0."__mark_d0" AS "__mark_birth_year", cells_0.a0 AS "n", cells_0."__mark_a0" AS "__mark_n" FROM cells_0;

-- title: a band that was asked for stays
-- subject: analyst
SELECT FLOOR(birth_year / 10) * 10 AS decade, COUNT(*) FROM ga.person GROUP BY 1;
-- fragment cells_0 local ga
SELECT FLOOR(CAST("t0"."birth_year" AS DOUBLE PRECISION) / 10) * 10 AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "decade", cells_0."__mark_d0" AS "__mark_decade", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a remainder is a band too
-- subject: analyst
SELECT birth_year - birth_year % 5 AS band, COUNT(*) FROM ga.person GROUP BY 1;
-- fragment cells_0 local ga
SELECT FLOOR(CAST("t0"."birth_year" AS DOUBLE PRECISION) / 5) * 5 AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "band", cells_0."__mark_d0" AS "__mark_band", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a date is grouped by its bucket
-- subject: analyst
-- plain: SELECT DATE_TRUNC('month', born), COUNT(*) FROM ga.person GROUP BY 1
SELECT born, COUNT(*) FROM ga.person GROUP BY born;
-- note born was grouped by month
-- fragment cells_0 local ga
SELECT DATE_TRUNC('MONTH', "t0"."born") AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "born", cells_0."__mark_d0" AS "__mark_born", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a coarser bucket stays
-- subject: analyst
SELECT DATE_TRUNC('year', born) AS y, COUNT(*) FROM ga.person GROUP BY 1;
-- fragment cells_0 local ga
SELECT DATE_TRUNC('YEAR', "t0"."born") AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "y", cells_0."__mark_d0" AS "__mark_y", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a date part stays
-- subject: analyst
SELECT EXTRACT(quarter FROM born) AS q, COUNT(*) FROM ga.person GROUP BY 1;
-- fragment cells_0 local ga
SELECT EXTRACT(QUARTER FROM "t0"."born") AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "q", cells_0."__mark_d0" AS "__mark_q", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a bare list of labels is banded
-- subject: analyst
-- plain: SELECT DISTINCT birth_year - birth_year % 5 FROM ga.person
SELECT DISTINCT birth_year FROM ga.person;
-- note birth_year was grouped in bands of 5 (shown by their lower ends)
-- fragment cells_0 local ga
SELECT FLOOR(CAST("t0"."birth_year" AS DOUBLE PRECISION) / 5) * 5 AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT DISTINCT cells_0.d0 AS "birth_year", cells_0."__mark_d0" AS "__mark_birth_year" FROM cells_0;

-- title: rows are cut to the region
-- subject: county
-- plain: SELECT sex, COUNT(*) FROM ga.person WHERE region = '990101' GROUP BY sex
SELECT sex, COUNT(*) FROM ga.person GROUP BY sex;
-- note ga.person was cut to region 990101
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE ("t0"."region" BETWEEN '990101' AND '990101') GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: the region filter joins a filter of the statement
-- subject: county
SELECT sex, COUNT(*) FROM ga.person WHERE region = '990101' AND local GROUP BY sex;
-- note ga.person was cut to region 990101
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE (("t0"."region" = '990101') AND "t0"."local" AND ("t0"."region" BETWEEN '990101' AND '990101')) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: the region filter goes into a block per unit
-- subject: county
-- plain: SELECT AVG(n) FROM (SELECT household, COUNT(*) AS n FROM ga.person WHERE region = '990101' GROUP BY household) h
SELECT AVG(n) FROM (SELECT household, COUNT(*) AS n FROM ga.person GROUP BY household) h;
-- note ga.person was cut to region 990101
-- fragment cells_0 local ga
SELECT AVG("t1"."c1") AS "a0" FROM (SELECT "t0"."household" AS "c0", COUNT(*) AS "c1" FROM "ga"."person" AS "t0" WHERE ("t0"."region" BETWEEN '990101' AND '990101') GROUP BY 1) AS "t1";
-- post
SELECT cells_0.a0 AS "avg", cells_0."__mark_a0" AS "__mark_avg" FROM cells_0;

-- title: codes that law withholds are left out
-- subject: analyst under withholding
-- plain: SELECT diagnosis, COUNT(*) FROM ga.person WHERE diagnosis IS NULL OR NOT diagnosis BETWEEN 'F10' AND 'F69.9' GROUP BY diagnosis
SELECT diagnosis, COUNT(*) FROM ga.person GROUP BY diagnosis;
-- note rows with diagnosis F10-F69 were left out: not shared by law
-- fragment cells_0 local ga
SELECT "t0"."diagnosis" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE (NOT (("t0"."diagnosis" BETWEEN 'F10' AND 'F69􏿿') IS TRUE)) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "diagnosis", cells_0."__mark_d0" AS "__mark_diagnosis", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: an unequal filter leaves withheld codes out too
-- subject: analyst under withholding
-- plain: SELECT sex, COUNT(*) FROM ga.person WHERE diagnosis = 'J45' GROUP BY sex
SELECT sex, COUNT(*) FROM ga.person WHERE diagnosis <> 'A01' GROUP BY sex;
-- note rows with diagnosis F10-F69 were left out: not shared by law
-- fragment cells_0 local ga
SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE (("t0"."diagnosis" <> 'A01') AND (NOT (("t0"."diagnosis" BETWEEN 'F10' AND 'F69􏿿') IS TRUE))) GROUP BY 1;
-- post
SELECT cells_0.d0 AS "sex", cells_0."__mark_d0" AS "__mark_sex", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;

-- title: a band inside a CASE over the dimension
-- subject: analyst
SELECT CASE WHEN birth_year < 1980 THEN '老' ELSE '少' END AS g, COUNT(*) FROM ga.person GROUP BY 1;
-- fragment cells_0 local ga
SELECT CASE WHEN ("t0"."birth_year" < 1980) THEN '老' ELSE '少' END AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1;
-- post
SELECT cells_0.d0 AS "g", cells_0."__mark_d0" AS "__mark_g", cells_0.a0 AS "count", cells_0."__mark_a0" AS "__mark_count" FROM cells_0;
