"""Differentially private words of a release block (tier D): budget first, then bounded rows, then noise.

Order: the policy's own rule, the statement's form, the budget reserved on the disk, data read, noise added, words kept
on the disk, budget committed. Once data are read nothing is given back, whatever fails.

No primary rule is applied and no history is kept: what leaves of a snapshot is bounded by its budget, whatever else
was asked, by whomever, and however questions overlap; a rule that looked at exact counts would tell of them for free.
Only labels that are not public are dropped where few units have them, by a noisy count.

Spec: docs/spec/differential-privacy.md.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.disclosure.contributions import (
    chosen_cells,
    consistent,
    in_steps,
    totals,
)
from middleplatform.disclosure.privacy import Noise, WordNoise, noise_of
from middleplatform.errors import DisclosureError, ProtocolError, QueryError, SourceError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.model.budget import Charge, Snapshot, is_share
from middleplatform.model.catalog import Catalog
from middleplatform.model.physical import PhysicalNames
from middleplatform.model.plan import Fragment, Layout
from middleplatform.model.policy import Bundle, DisclosureParameters, PrivacyRule
from middleplatform.model.query import CellQuery
from middleplatform.node.gaussian import check_mechanism, discrete_gaussian
from middleplatform.node.measure import Source, Sources
from middleplatform.node.noisy_answers import NoisyAnswers
from middleplatform.planner.bounded import (
    Bounds,
    bounded_statement,
    bounds_of,
    check_private,
    public_labels,
)
from middleplatform.planner.evidence import Statement
from middleplatform.planner.results import arrow_type, released_result
from middleplatform.ports import Rng
from middleplatform.wire.tables import decode_table, encode_table

__all__ = ["Private", "Question", "check_noise", "noise_asked", "noisy_cells"]

_EXACT = Context(prec=100)
_TEXT_MAX = 24
_HALF = float(1 << 64)
Whole = npt.NDArray[np.int64]
Labels = tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A checked fragment that asks for noise.

    Attributes:
        fragment: As signed.
        cell: As it is run, the node's own row filters in it.
        layout: Of its words.
        text: Of the cell.
        rule: The strictest of the datasets' rules; None where one of them offers no noise.
    """

    fragment: Fragment
    cell: CellQuery
    layout: Layout
    text: str
    rule: PrivacyRule | None


def check_noise(
    fragment: Fragment,
    parameters: DisclosureParameters,
    cell: CellQuery,
    layout: Layout,
    bundles: Collection[Bundle],
) -> None:
    """Return only if a fragment may be answered in the way that it asks for.

    Args:
        fragment: As signed.
        parameters: Of disclosure control, the strictest of all.
        cell: As it is run.
        layout: Of its words.
        bundles: All that must permit it: the published one, the department's own and what is merged of both.

    Raises:
        DisclosureError: D012 policy answers with noise only, D013 and D014 as ``noise_asked``; D014 one of the bundles
            sets no cap to a measure.
        ProtocolError: X003 as ``noise_asked``, or the bundles cap a measure differently (R5): values would be cut,
            and noise be sized, otherwise than the answer tells.
        QueryError: Q031 noise for a private join or a sealed answer.

    Reveals:
        Nothing: it follows from fragment and policy.
    """
    if not fragment.noise:
        if parameters.method == "noise":
            raise DisclosureError("D012", rule="R5")
        return
    if fragment.sealed_for or fragment.protocol == "private_join":
        what = (
            "differential privacy of sealed answers and private joins",
            "密封结果与隐私连接的差分隐私作答",
        )
        raise QueryError("Q031", rule="R10", what=what)
    noise_asked(fragment, parameters.privacy)
    if len(bundles) > 1 and len({bounds_of(layout, cell.rows, each, 1) for each in bundles}) > 1:
        detail = "the department's own policy caps a measure differently"
        raise ProtocolError("X003", rule="R5", detail=detail, department=fragment.department)


def noise_asked(fragment: Fragment, rule: PrivacyRule | None) -> Fraction:
    """Return the privacy loss that a fragment may spend.

    Raises:
        DisclosureError: D014 policy offers no noise, D013 more than it lets one answer spend, or no fraction above 0.
        ProtocolError: X003 a loss that is no answer's share (``model.budget.is_share``): no honest gateway asks it,
            and the ledger would refuse it or could not add it up.

    Reveals:
        Nothing: it follows from fragment and policy.
    """
    if rule is None:
        raise DisclosureError("D014", rule="R5", what=("these datasets", "所涉数据集"))
    try:
        short = len(fragment.noise) <= _TEXT_MAX and fragment.noise.isascii()
        rho = Fraction(fragment.noise) if short else Fraction(0)
    except (ValueError, ZeroDivisionError):
        rho = Fraction(0)
    if not 0 < rho <= rule.rho:
        raise DisclosureError("D013", what=("one answer", "单次作答"))
    if not is_share(rho, rule.rho):
        detail = "a privacy loss that is no share of an answer's"
        raise ProtocolError("X003", rule="R14", detail=detail, department=fragment.department)
    return rho


@dataclass
class Private:
    """What makes noisy words at one node.

    Attributes:
        catalog: The node's own copy.
        bundle: The node's own copy.
        ledger: What was spent.
        answers: Words that were made before.
        rng: Chooses the cells of units; noise has the system's generator of its own, inside OpenDP.
    """

    catalog: Catalog
    bundle: Bundle
    ledger: BudgetLedger
    answers: NoisyAnswers
    rng: Rng

    def words(self, question: Question, source: Source | Sources, at: str) -> pa.Table:
        """Return labels and noisy words of a block; asked again, the same.

        Args:
            question: Checked.
            source: Of the rows.
            at: This moment, ISO 8601.

        Returns:
            Columns ``d*`` and the words that the block's aggregates read, sorted by label.

        Raises:
            DisclosureError: D013 the budget does not reach, D014 no noise is offered, or a measure has no cap.
            ProtocolError: X003 as ``noise_asked``.
            QueryError: Q031 the statement's form cannot be bounded.
            SourceError: The source failed; what was reserved counts once reading had begun.
            ConfigError: C003 OpenDP is not installed, C011 ledger or record cannot be written.

        Reveals:
            Nothing yet; if it leaves, what ``docs/spec/differential-privacy.md`` says of rho.
        """
        rho = noise_asked(question.fragment, question.rule)
        assert question.rule is not None, "checked by the line above"
        cell, layout = question.cell, question.layout
        check_private(cell, layout, self.catalog)
        bounds = bounds_of(layout, cell.rows, self.bundle, question.rule.rows)
        labels = public_labels(cell, self.catalog)
        noise = noise_of(
            layout, question.rule, rho, bounds.caps, None if labels is None else len(labels)
        )
        check_mechanism()  # nothing is spent where it is missing
        datasets = sorted({dataset for dataset, _, _ in layout.reads})
        known = self.answers.find(self._key(question, rho, self._current(datasets)))
        if known is None:
            known = self._made(question, source, at, (bounds, labels, noise), (rho, datasets))
        return decode_table(known)

    def _current(self, datasets: list[str]) -> list[Snapshot]:
        return [self.ledger.snapshot(name) for name in datasets]

    def _made(
        self,
        question: Question,
        source: Source | Sources,
        at: str,
        how: tuple[Bounds, Labels | None, Noise],
        spent: tuple[Fraction, list[str]],
    ) -> bytes:
        fragment = question.fragment
        bounds, labels, noise = how
        reserved = self.ledger.reserve_all(
            [self._charge(name, spent[0]) for name in spent[1]],
            fragment.project,
            fragment.subject.id,
            f"{fragment.query_id}.{fragment.number}.{fragment.attempt}",
            at,
        )
        # Filed under the snapshot that is charged: another may have begun since the answer was looked for.
        key = self._key(question, spent[0], reserved.snapshots)
        try:
            known = self.answers.find(key)
            if known is None:
                _check(source, question)
        except Exception:
            self.ledger.release(reserved)
            raise
        if known is not None:
            self.ledger.release(reserved)  # somebody else was first; nothing was read
            return known
        self.ledger.start(reserved)
        rows = source.rows(question.cell, question.layout, _writer(question, bounds))
        made = _noisy(question, rows, labels, noise, self.rng)
        kept = self.answers.keep(key, encode_table(made))
        self.ledger.commit(reserved)
        return kept

    def _charge(self, dataset: str, rho: Fraction) -> Charge:
        caps = self.bundle.datasets[dataset].disclosure.privacy
        if caps is None:
            raise DisclosureError("D014", rule="R5", what=(dataset, dataset))
        return Charge(dataset, rho, caps)

    def _key(self, question: Question, rho: Fraction, snapshots: Sequence[Snapshot]) -> bytes:
        assert question.rule is not None, "checked before"
        fragment = question.fragment
        parts = {
            "project": fragment.project,
            "protocol": fragment.protocol,
            "text": question.text,
            "rho": str(rho),
            "rule": {name: str(value) for name, value in asdict(question.rule).items()},
            "policy": self.bundle.digest,
            "catalog": self.catalog.digest,
            "snapshots": [[each.dataset, each.label] for each in snapshots],
        }
        text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()


def _check(source: Source | Sources, question: Question) -> None:
    """Check that the source answers and has its schema: so much tells of no row."""
    one = source.source_of(question.cell) if isinstance(source, Sources) else source
    one.check(question.layout)


def _writer(question: Question, bounds: Bounds) -> Callable[[str, PhysicalNames], Statement]:
    def write(dialect: str, names: PhysicalNames) -> Statement:
        return bounded_statement(question.cell, question.layout, bounds, dialect, names)

    return write


# --- from rows to words -------------------------------------------------------------------------------------------


def _noisy(
    question: Question, rows: pa.Table, labels: Labels | None, noise: Noise, rng: Rng
) -> pa.Table:
    names = [item.name for item in question.cell.dimensions]
    cells, shown = _cells(rows, names, labels, question.layout)
    groups = noise.words[0].groups if noise.words else 1
    inside = np.flatnonzero(cells >= 0)
    order = np.random.default_rng(list(rng.token_bytes(32))).permutation(len(inside))
    chosen = chosen_cells(_codes(rows["u"])[inside], order.astype(np.int64), groups)
    kept = inside[chosen]
    words: dict[str, list[int]] = {}
    for each in noise.words:
        steps = _steps(each, rows, question)[kept]
        exact = totals(cells[kept], steps, shown.num_rows)
        words[each.name] = discrete_gaussian(exact.tolist(), each)
    columns = {name: shown[name] for name in names}
    columns |= {each.name: _typed(words[each.name], each) for each in noise.words}
    table = pa.table(columns) if columns else shown
    if noise.threshold is not None:
        table = table.filter(pc.greater_equal(table["units_0"], noise.threshold))
    return table.sort_by([(name, "ascending") for name in names]) if names else table


def _cells(
    rows: pa.Table, names: list[str], labels: Labels | None, layout: Layout
) -> tuple[Whole, pa.Table]:
    """Return the number of each row's cell, -1 for none, and the cells' labels."""
    if not names:
        return np.zeros(rows.num_rows, dtype=np.int64), pa.table({"one": pa.array([0])})
    codes = np.zeros(rows.num_rows, dtype=np.int64)
    firsts = codes[:0]
    for name in names:
        own = _codes(rows[name])
        codes, firsts = _dense(codes * (int(own.max(initial=0)) + 1) + own)
    found = rows.select(names).take(pa.array(firsts))
    if labels is None:
        return codes, found
    known = {label: number for number, label in enumerate(labels)}
    columns = [found[name].to_pylist() for name in names]
    places = [known.get(label, -1) for label in zip(*columns, strict=True)]
    types = [arrow_type(kind) for kind in layout.labels]
    shown = {
        name: _label_column([label[place] for label in labels], types[place])
        for place, name in enumerate(names)
    }
    return np.array(places, dtype=np.int64)[codes], pa.table(shown)


def _dense(codes: Whole) -> tuple[Whole, Whole]:
    """Return the same codes as numbers from 0 without gaps, and a row of each."""
    count = len(codes)
    if int(codes.max(initial=0)) > 4 * count + 1024:
        _, firsts, dense = np.unique(codes, return_index=True, return_inverse=True)
        return dense.astype(np.int64), firsts.astype(np.int64)
    rows = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.int64)
    rows[codes] = np.arange(count)
    present = rows >= 0
    numbers = np.cumsum(present) - 1
    return numbers[codes].astype(np.int64), rows[present]


def _label_column(values: list[object], kind: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(kind):
        values = [None if each is None else Decimal(str(each)) for each in values]
    return pa.array(values, kind)


def _codes(column: pa.ChunkedArray) -> Whole:
    """Return values as numbers from 0; a missing one is a value like others."""
    encoded = _joined(column).dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices.to_numpy(), dtype=np.int64)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _steps(word: WordNoise, rows: pa.Table, question: Question) -> Whole:
    """Return what each row adds to a word, in steps."""
    kind, _, number = word.name.partition("_")
    if kind == "units":
        named = pc.is_valid(rows["u"]).to_numpy()
        return np.asarray((rows[f"r{number}"].to_numpy() > 0) & named, dtype=np.int64)
    if kind == "rows":
        return in_steps(rows[f"r{number}"].to_numpy(), word.most, word.step)
    column = rows[f"{'s' if kind == 'sum' else 'q'}{number}"]
    return in_steps(_last_places(column, word, question), word.most, word.step)


def _last_places(
    column: pa.ChunkedArray, word: WordNoise, question: Question
) -> npt.NDArray[np.float64] | Whole:
    """Return decimals in units of the last place, missing ones as 0: whole, or as doubles where that is enough."""
    zero = pa.scalar(Decimal(0).scaleb(-word.scale, _EXACT), column.type)
    whole = _joined(pc.fill_null(column, zero))
    raw = whole.buffers()[1]
    if raw is None or not len(whole):
        return np.zeros(0, dtype=np.int64)
    halves = np.frombuffer(raw, dtype="<i8", count=2 * len(whole), offset=16 * whole.offset)
    low, high = halves[0::2], halves[1::2]
    if word.step > 1:
        return high.astype(np.float64) * _HALF + low.view(np.uint64).astype(np.float64)
    if not bool((high == low >> 63).all()):
        department = question.fragment.department
        raise SourceError("S003", department=department, detail="a total outside its bounds")
    return low.astype(np.int64)


def _typed(values: list[int], word: WordNoise) -> pa.Array:
    if word.name.startswith(("units_", "keys_")):
        return pa.array(values, pa.int64())
    exact = [Decimal(value * word.step).scaleb(-word.scale, _EXACT) for value in values]
    return pa.array(exact, pa.decimal128(38, word.scale))


def noisy_cells(cell: CellQuery, layout: Layout, words: pa.Table) -> pa.Table:
    """Return noisy words as a department's answer to a local fragment: nothing is marked, no count is below 0.

    Reveals:
        To the gateway: this table.
    """
    schema = released_result(cell, layout)
    names = [name for name in schema.names if name[0] not in "dm"]
    whole = {name: _whole(words[name]) for name in names}
    kept = consistent(layout, whole)
    columns: list[pa.Array | pa.ChunkedArray] = []
    for item in schema:
        if item.name[0] == "d":
            columns.append(words[item.name].cast(item.type))
        elif item.name in kept:
            columns.append(_column(kept[item.name], item.type))
        else:
            columns.append(pa.nulls(words.num_rows, item.type))
    return pa.table(columns, schema=schema)


def _whole(column: pa.ChunkedArray) -> list[int]:
    scale = column.type.scale if pa.types.is_decimal(column.type) else 0
    return [int(Decimal(value).scaleb(scale, _EXACT)) for value in column.to_pylist()]


def _column(values: list[int], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_decimal(kind):
        return pa.array(values, kind)
    return pa.array([Decimal(value).scaleb(-kind.scale, _EXACT) for value in values], kind)
