"""Made people of one city for the governance cases: taxpayers, visits and pensions, each in a file of its own.

Nothing is random and nothing is real: every value follows from a person's number. What the cases need:

* 延庆区 is small: 6 taxpayers, few patients, one of them with 40 visits for 糖尿病;
* 西城区 has 4 taxpayers in 采矿业, so that leaving them out singles them out;
* everybody who visited in 密云区 has 高血压;
* 怀柔区 has 8 patients with 肺结核, fewer than the 20 that a diagnosis asks for.
"""

from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pyarrow as pa

from middleplatform.demo.keys import identity_numbers

TAXPAYERS = {
    "东城区": 90, "西城区": 110, "朝阳区": 150, "海淀区": 130, "丰台区": 80, "通州区": 70, "密云区": 40, "怀柔区": 34, "延庆区": 6,
}  # fmt: skip
PATIENTS = {
    "东城区": 240, "西城区": 260, "朝阳区": 300, "海淀区": 280, "丰台区": 220, "通州区": 200, "密云区": 30, "怀柔区": 60, "延庆区": 9,
}  # fmt: skip
PENSIONERS = {
    "东城区": 60, "西城区": 70, "朝阳区": 90, "海淀区": 80, "丰台区": 50, "通州区": 40, "密云区": 25, "怀柔区": 21, "延庆区": 5,
}  # fmt: skip
INDUSTRIES = ("信息技术", "制造业", "金融业", "批发零售")
DIAGNOSES = ("高血压", "糖尿病", "感冒", "骨折")

_MONEY = pa.decimal128(14, 2)


def people(counts, offset=0):
    """Yield (number within the city, district, number within it, identity number)."""
    number = 0
    for place, (district, count) in enumerate(counts.items()):
        bodies = [
            f"9901{place + 1:02}{1950 + each % 50}{1 + each % 12:02}{1 + each % 28:02}{each + offset:03}"
            for each in range(count)
        ]
        for each, identity in enumerate(identity_numbers(bodies)):
            yield number, district, each, identity
            number += 1


def taxpayers():
    rows = []
    for number, district, each, identity in people(TAXPAYERS):
        industry = INDUSTRIES[number % len(INDUSTRIES)]
        if (district == "西城区" and each < 4) or (
            district in ("朝阳区", "海淀区") and each % 6 == 5
        ):
            industry = "采矿业"
        income = Decimal(18000 + number * 7919 % 560000) + Decimal(number % 100) / 100
        tax = (
            Decimal(0)
            if number % 9 == 0
            else (income * (3 + number % 20) / 100).quantize(Decimal("0.01"))
        )
        rows.append((identity, f"居民{number:04}", district, industry, income, tax))
    names = ("id_number", "name", "district", "industry", "income", "tax_paid")
    return _table(names, (pa.string(),) * 4 + (_MONEY, _MONEY), rows)


def visits():
    rows = []
    first = date(2023, 1, 1)
    for number, district, each, identity in people(PATIENTS):
        chronic = district == "延庆区" and each == 0
        for visit in range(40 if chronic else 1 + number % 4):
            day = first + timedelta(days=(number * 37 + visit * 101) % 730)
            cost = Decimal(30 + number * 131 % 9000 + visit * 17) + Decimal(visit % 100) / 100
            rows.append((identity, district, _diagnosis(district, each, visit), cost, day))
    names = ("id_number", "district", "diagnosis", "cost", "visit_date")
    return _table(names, (pa.string(),) * 3 + (_MONEY, pa.date32()), rows)


def _diagnosis(district, each, visit):
    if district == "密云区":
        return "高血压"
    if district == "延庆区":
        return "糖尿病" if each == 0 else "肺结核" if each < 4 else DIAGNOSES[each % 4]
    if district == "怀柔区" and each < 8:
        return "肺结核"
    if district != "怀柔区" and each % 10 == 9:
        return "肺结核"
    return DIAGNOSES[(each + visit) % 4]


def pensions():
    rows = []
    for number, district, _, identity in people(PENSIONERS):
        rows.append((identity, district, Decimal(900 + number * 613 % 8200) + Decimal("0.50")))
    return _table(("id_number", "district", "amount"), (pa.string(), pa.string(), _MONEY), rows)


def _table(names, types, rows):
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=list(names))


TABLES = {
    "tax": {"taxpayers": taxpayers},
    "health": {"visits": visits},
    "social": {"pensions": pensions},
}


def build(folder):
    """Write one DuckDB file a department into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for department, tables in TABLES.items():
        with duckdb.connect(str(folder / f"{department}.duckdb")) as connection:
            for name, rows in tables.items():
                connection.register("rows", rows())
                connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM rows')
                connection.unregister("rows")
