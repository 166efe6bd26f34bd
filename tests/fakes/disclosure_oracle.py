"""Disclosure rules once more, slowly and from plain rows: which value of which cell must be withheld, and why.

Shares no code with the platform. Source: the project's disclosure rules (threshold over distinct units, complement,
homogeneity, (n,k) dominance, p %), applied to unit totals of plain columns.
"""

from collections import defaultdict
from decimal import Decimal

from pooled_answers import normal


def judge(connection, block, rules, rung=0):
    """Return, by label, one set of reasons an aggregate; an empty set where the value may be shown.

    The reason ``label`` in every set says that the label itself may be withheld: it has a band of a measure, and the
    cell is small or the only one of its group.

    Args:
        connection: Pooled rows.
        block: What is asked.
        rules: Disclosure parameters.
        rung: Percent by which a unit's share may be overestimated: what a secure sum may withhold in addition.
    """
    cells = _cells(connection, block)
    if not block.dimensions and not cells:
        cells = {(): []}
    found = {
        label: [
            _reasons(aggregate, place, rows, rules, rung)
            for place, aggregate in enumerate(block.aggregates)
        ]
        for label, rows in cells.items()
    }
    if not block.source.parted:
        for label in _alone(block, list(cells)):
            for reasons in found[label]:
                reasons |= {"homogeneity", "label"}
    if block.sensitive:
        for label, rows in cells.items():
            if len({row["unit"] for row in rows}) < rules["min_units"]:
                for reasons in found[label]:
                    reasons.add("label")
    return found


def _alone(block, labels):
    """Return the cells that are the only one of their group, by the dimensions that are no measure's band."""
    if not block.sensitive:
        return []
    rest = [place for place in range(len(block.dimensions)) if place not in block.sensitive]
    groups = defaultdict(list)
    for label in labels:
        groups[tuple(label[place] for place in rest)].append(label)
    return [group[0] for group in groups.values() if len(group) == 1]


def _cells(connection, block):
    """Return each cell's rows: mappings from what was fetched to its value."""
    wanted = {"unit": block.source.unit}
    wanted |= {f"other{i}": each for i, each in enumerate(block.source.others)}
    for place, aggregate in enumerate(block.aggregates):
        if aggregate.key:
            wanted[f"{place}/key"] = aggregate.key
        if aggregate.filtered is not None:
            wanted[f"{place}/filter"] = f"({aggregate.filtered.sql})"
        for number, piece in enumerate(aggregate.pieces):
            for i, condition in enumerate(piece.conditions):
                wanted[f"{place}/{number}/condition{i}"] = f"({condition.sql})"
            for i, operand in enumerate(piece.operands):
                wanted[f"{place}/{number}/operand{i}"] = operand
    where = f" WHERE {block.where.sql}" if block.where is not None else ""
    columns = ", ".join([*block.dimensions, *wanted.values()])
    found = (
        connection.cursor().execute(f"SELECT {columns} FROM {block.source.rows}{where}").fetchall()
    )
    cells = defaultdict(list)
    width = len(block.dimensions)
    for row in found:
        label = tuple(map(normal, row[:width]))
        cells[label].append(dict(zip(wanted, row[width:], strict=True)))
    return dict(cells)


def _reasons(aggregate, place, rows, rules, rung):
    least, found = rules["min_units"], set()
    everybody = {row["unit"] for row in rows}
    if len(everybody) < least:
        found.add("threshold")
    others = {name for row in rows for name in row if name.startswith("other")}
    for name in others or ():
        if len({row[name] for row in rows} - {None}) < least:
            found.add("threshold")
    if aggregate.key:
        inside = [row for row in rows if _holds(row, place, aggregate)]
        if len({row[f"{place}/key"] for row in inside} - {None}) < least:
            found.add("threshold")
    for number, piece in enumerate(aggregate.pieces):
        found |= _piece(aggregate, place, number, piece, rows, rules, rung)
    return found


def _holds(row, place, aggregate):
    return aggregate.filtered is None or row[f"{place}/filter"] is True


def _inside(row, place, number, aggregate, piece):
    """Say whether a row lies in a piece's population."""
    if not _holds(row, place, aggregate):
        return False
    if any(row[f"{place}/{number}/condition{i}"] is not True for i in range(len(piece.conditions))):
        return False
    return all(row[f"{place}/{number}/operand{i}"] is not None for i in range(len(piece.operands)))


def _piece(aggregate, place, number, piece, rows, rules, rung):
    inside = [row for row in rows if _inside(row, place, number, aggregate, piece)]
    outside = [row for row in rows if not _inside(row, place, number, aggregate, piece)]
    units, rest = {row["unit"] for row in inside}, {row["unit"] for row in outside}
    least, found = rules["min_units"], set()
    if piece.adds or aggregate.kind not in ("sum", "count"):
        if len(units) < least:
            found.add("threshold")
        if 0 < len(rest) < least:
            found.add("complement")
        conditions = [*piece.conditions, *([aggregate.filtered] if aggregate.filtered else [])]
        strict = any(not condition.presence for condition in conditions)
        if strict and not rest:
            found |= {
                "homogeneity",
                "complement",
            }  # told by either: nobody outside and few outside look alike
        if strict and not units:
            found |= {"homogeneity", "threshold"}
    for i in range(len(piece.operands)):
        if aggregate.kind in ("sum", "avg", "spread"):
            name = f"{place}/{number}/operand{i}"
            found |= _magnitude(inside, name, aggregate.kind == "spread", rules, rung)
    return found


def _magnitude(rows, name, spread, rules, rung):
    totals = defaultdict(Decimal)
    for row in rows:
        totals[row["unit"]] += Decimal(row[name])
    sizes = sorted((abs(total) for total in totals.values()), reverse=True)
    absolute, found = sum(sizes, Decimal(0)), set()
    if absolute == 0 or (spread and len({row[name] for row in rows}) <= 1):
        found.add("homogeneity")
    top = [size + absolute * rung / 100 for size in [*sizes, *(Decimal(0),) * 3][:3]]
    if any(sum(top[:n]) * 100 > absolute * percent for n, percent in rules["dominance"]):
        found.add("dominance")
    if (absolute - top[0] - top[1]) * 100 < top[0] * rules["p_percent"]:
        found.add("p_percent")
    return found
