"""Published examples of cell keys and perturbation tables, with their source in tests/vectors/sdc/cell_key.json."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from middleplatform.disclosure.perturb import cell_keys
from middleplatform.disclosure.ptable import CountTable, count_table

FILE = Path(__file__).parents[2] / "vectors" / "sdc" / "cell_key.json"
VECTORS = {each["id"]: each for each in json.loads(FILE.read_text(encoding="utf-8"))["vectors"]}


def share(number):
    """Return a key in (0, 1], as published ones are, in our 64 bits."""
    return np.array([round(number * (1 << 64))], dtype=np.uint64)


def test_every_vector_names_its_source():
    assert len(VECTORS) == 5
    assert all(each["source"] and each["licence"] for each in VECTORS.values())


@pytest.mark.parametrize("name", ["argus-ptable-D5V3js2", "argus-ptable-scen5a"])
def test_tau_argus_tables_are_those_of_maximum_entropy(name):
    vector = VECTORS[name]
    given = vector["input"]["parameters"]
    table = count_table(given["D"], given["V"], given["js"], given.get("pstay", 0.0))
    published = np.zeros_like(table.probabilities)
    for count, noise, probability, _ in vector["expected"]["rows"]:
        published[count, int(noise) + given["D"]] = probability
    # One file has no probability below 1e-7.
    assert np.abs(table.probabilities - published).max() < 2e-6
    upper = {(row[0], int(row[1])): row[3] for row in vector["expected"]["rows"]}
    ours = np.cumsum(table.probabilities, axis=1)
    for (count, noise), bound in upper.items():
        assert ours[count, noise + given["D"]] == pytest.approx(bound, abs=2e-6)


def handbook():
    rows = VECTORS["hb-ckm-frequency"]["input"]["ptable_noise_lower_upper"]
    probabilities = np.zeros((len(rows), 3))
    for count, parts in rows.items():
        for noise, lower, upper in parts:
            probabilities[int(count), noise + 1] = upper - lower
    return CountTable.of(probabilities)


def test_the_handbooks_records_have_its_cell_key_and_its_noise():
    vector = VECTORS["hb-ckm-frequency"]
    records = np.concatenate([share(number) for number in vector["input"]["record_keys"]])
    inside = np.ones((3, 1), dtype=np.bool_)
    key = cell_keys(1, np.zeros(3, dtype=np.int64), inside, records)[:, 0]
    assert float(key[0]) / 2**64 == pytest.approx(vector["expected"]["cell_key"])
    count = np.array([len(records)])
    noise = handbook().noise(count, key)
    assert noise.tolist() == [vector["expected"]["noise"]]
    assert (count + noise).tolist() == [vector["expected"]["perturbed"]]


@pytest.mark.parametrize(
    ("count", "key", "expected"),
    [(1, 0.5, -1), (1, 0.5000001, 1), (2, 0.8, 0), (2, 0.9, 1), (3, 0.3, -1), (3, 0.31, 0), (90, 0.71, 1), (0, 0.9, 0)],
)  # fmt: skip
def test_lookup_is_as_the_handbook_has_it_and_the_largest_row_serves_all_above(
    count, key, expected
):
    assert handbook().noise(np.array([count]), share(key)).tolist() == [expected]


@pytest.mark.parametrize("key", [0, 1, (1 << 64) - 1])
def test_the_ends_of_the_keys_get_noise_that_the_row_has(key):
    table = handbook()
    for count in range(4):
        noise = table.noise(np.array([count]), np.array([key], dtype=np.uint64))[0]
        assert table.probabilities[count, noise + 1] > 0


def test_the_vignettes_perturbed_counts_are_possible_and_as_far_off_as_ours():
    vector = VECTORS["cellkey-vignette-D2V1.05js1"]
    table = count_table(2, 1.05, 1)
    counts = np.array(vector["input"]["cells"] == "total by sex x age" and vector["expected"]["count"])  # fmt: skip
    noise = np.array(vector["expected"]["perturbed"]) - counts
    rows = np.minimum(counts, len(table.probabilities) - 1)
    assert (table.probabilities[rows, noise + 2] > 0).all()
    told = vector["expected"]["measures"]
    assert (np.abs(noise).max(), (noise == 0).mean()) == (
        told["max_abs"],
        pytest.approx(told["share_zero"]),
    )
    assert np.abs(noise).mean() == pytest.approx(told["mean_abs"], abs=5e-4)
    keys = np.random.default_rng(5).integers(0, 1 << 64, (20_000, len(counts)), dtype=np.uint64)
    drawn = np.abs(table.noise(np.broadcast_to(counts, keys.shape), keys)).mean(axis=1)
    low, high = np.quantile(drawn, [0.005, 0.995])
    assert low <= told["mean_abs"] <= high


@pytest.mark.parametrize("name", ["table_var1_var2", "table_var1_var5_var8"])
def test_ons_cell_keys_and_counts_are_ours(name):
    vector = VECTORS["ons-10-5-rule"]
    columns = vector["input"]["columns"]
    by = name.removeprefix("table_").split("_")
    grouped = defaultdict(list)
    for row in vector["input"]["microdata"]:
        record = dict(zip(columns, row, strict=True))
        grouped[tuple(record[each] for each in by)].append(record["record_key"])
    expected = {tuple(row[: len(by)]): row[len(by) :] for row in vector["expected"][name]}
    labels = sorted(grouped)
    cell = np.repeat(np.arange(len(labels)), [len(grouped[label]) for label in labels])
    # Their keys are of 8 bits: in the upper 8 of ours they add up as theirs do.
    records = np.array([key for label in labels for key in grouped[label]], dtype=np.uint64) << np.uint64(56)  # fmt: skip
    inside = np.ones((len(cell), 1), dtype=np.bool_)
    found = cell_keys(len(labels), cell, inside, records)[:, 0] >> np.uint64(56)
    assert [(len(grouped[label]), int(key)) for label, key in zip(labels, found, strict=True)] == [
        (expected[label][0], expected[label][1]) for label in labels
    ]
