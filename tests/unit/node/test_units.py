"""Numbers of units: stable, dense, the same after a restart, and no identifier on disk."""

import secrets
import stat

import numpy as np
import pyarrow as pa
import pytest

from middleplatform.errors import ConfigError
from middleplatform.node.units import UnitNumbers

DATASET = "ga.population|person_id"
PEOPLE = pa.array([f"9901011990{place:08d}" for place in range(3000)])


class Rng:
    def token_bytes(self, count):
        return secrets.token_bytes(count)


def opened(folder):
    return UnitNumbers.open(folder, Rng())


def test_numbers_begin_at_zero_without_gaps_in_order_of_appearance():
    units = UnitNumbers()
    assert units.numbers(DATASET, PEOPLE.take(pa.array([5, 7, 5, 9]))).tolist() == [0, 1, 0, 2]
    assert units.numbers(DATASET, PEOPLE.take(pa.array([9, 1, 7]))).tolist() == [2, 3, 1]
    assert units.numbers("other|key", PEOPLE[9:10]).tolist() == [0]


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.string(), pa.decimal128(19, 0)])
def test_every_type_of_key_has_numbers(kind):
    keys = pa.array([3, 1, 3, 2]).cast(kind)
    assert UnitNumbers().numbers(DATASET, pa.chunked_array([keys])).tolist() == [0, 1, 0, 2]


def test_numbers_and_record_keys_survive_a_restart(tmp_path):
    first = opened(tmp_path)
    numbers = first.numbers(DATASET, PEOPLE)
    keys = first.record_keys(DATASET, numbers)
    again = opened(tmp_path)
    mixed = PEOPLE.take(pa.array(np.arange(2999, -1, -1)))
    assert again.numbers(DATASET, mixed).tolist() == numbers[::-1].tolist()
    assert again.record_keys(DATASET, numbers).tolist() == keys.tolist()
    assert again.numbers(DATASET, pa.array(["new"])).tolist() == [3000]


def test_a_unit_has_one_record_key_in_every_table_of_the_department():
    units = UnitNumbers()
    one = units.numbers(DATASET, PEOPLE[:3])
    other = units.numbers("ga.marriages|person_id", PEOPLE[2:3])
    assert units.record_keys("ga.marriages|person_id", other) == units.record_keys(DATASET, one)[2]


def test_record_keys_differ_by_unit_and_by_secret():
    one, other = UnitNumbers(bytes(32)), UnitNumbers(bytes(31) + b"\x01")
    keys = [units.record_keys(DATASET, units.numbers(DATASET, PEOPLE)) for units in (one, other)]
    assert keys[0].dtype == np.uint64
    assert np.unique(np.concatenate(keys)).size == 2 * len(PEOPLE)


def test_no_identifier_lies_on_disk_and_the_secret_is_the_owners(tmp_path):
    opened(tmp_path).numbers(DATASET, PEOPLE)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        assert b"990101" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_interrupted_write_at_the_end_is_forgotten(tmp_path):
    numbers = opened(tmp_path).numbers(DATASET, PEOPLE[:10])
    (path,) = (tmp_path / "units").iterdir()
    path.write_bytes(path.read_bytes() + b"torn")
    again = opened(tmp_path)
    assert again.numbers(DATASET, PEOPLE[:12]).tolist() == [*numbers.tolist(), 10, 11]
    assert opened(tmp_path).numbers(DATASET, PEOPLE[:12]).tolist() == [*range(12)]


@pytest.mark.parametrize("damage", ["lost", "other", "short"])
def test_files_of_another_secret_are_refused(tmp_path, damage):
    opened(tmp_path).numbers(DATASET, PEOPLE[:10])
    key = tmp_path / "units.key"
    key.unlink()
    if damage != "lost":
        key.write_bytes(bytes(32 if damage == "other" else 16))
        key.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path).numbers(DATASET, PEOPLE[:10])
    assert caught.value.code == "C006"


def test_a_disk_that_refuses_gives_no_number(tmp_path):
    units = opened(tmp_path)
    units.numbers(DATASET, PEOPLE[:10])
    (path,) = (tmp_path / "units").iterdir()
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(ConfigError) as caught:
        units.numbers(DATASET, PEOPLE[:11])
    assert caught.value.code == "C011"
    path.write_bytes(kept)
    assert units.numbers(DATASET, PEOPLE[10:12]).tolist() == [10, 11]
