"""Measure sealed sums beside plain phe, per 64-bit cell: encrypt, add, open, bytes, end to end.

Prints one JSON object. Run: ``python -m benchmarks.bench_sealed [groups]``. phe is measured on a sample of
cells, one ciphertext a cell, as its own documentation uses it. Both use gmpy2 underneath. Keys, the tables of
a key, and grade A's pool are made beforehand, and their cost is reported apart.
"""

import json
import os
import secrets
import statistics
import sys
import time
from importlib.metadata import version

import numpy as np

from benchmarks.machine import machine, peak_mib
from middleplatform.crypto.sealed_keys import OpeningKey, check_key
from middleplatform.crypto.sealed_pool import RandomPool
from middleplatform.crypto.sealed_sum import SealedWords, ZeroSum, add, open_words, seal

BITS = 3072
DEPARTMENTS = 5
REPEATS = 5
PHE_SAMPLE = 24
TARGETS = {"encrypt": 400, "add": 40, "open": 50, "bytes": 40, "end_to_end": 200}


class SystemRng:
    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def elapsed(work) -> tuple[float, object]:
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def median(work) -> tuple[float, object]:
    runs = [elapsed(work) for _ in range(REPEATS)]
    return statistics.median(seconds for seconds, _ in runs), runs[-1][1]


def phe_us(opening: OpeningKey, values: np.ndarray) -> dict[str, float]:
    """Return microseconds a cell of plain phe: a department's encryption, an addition, an opening."""
    private = opening.to_phe()
    public = private.public_key
    plain = [int(value) for value in values[:PHE_SAMPLE]]
    public.encrypt(1)
    encrypt_s, cells = elapsed(lambda: [public.encrypt(value) for value in plain])
    others = [public.encrypt(value) for value in plain]
    pairs = list(zip(cells, others, strict=True)) * 20
    add_s, _ = median(lambda: [a + b for a, b in pairs])
    sums = [a + b for a, b in zip(cells, others, strict=True)]
    open_s, opened = median(lambda: [private.decrypt(cell) for cell in sums])
    assert opened == [2 * value for value in plain]
    return {
        "encrypt_us": 1e6 * encrypt_s / PHE_SAMPLE,
        "add_us": 1e6 * add_s / len(pairs),
        "open_us": 1e6 * open_s / PHE_SAMPLE,
        "bytes": BITS / 4,
    }


def zero_sums() -> list[ZeroSum]:
    names = [f"d{at}" for at in range(DEPARTMENTS)]
    shared = {frozenset((a, b)): secrets.token_bytes(32) for a in names for b in names if a < b}
    return [
        ZeroSum(own, {each: shared[frozenset((own, each))] for each in names if each != own}, b"")
        for own in names
    ]


def ours_us(opening: OpeningKey, values: np.ndarray, grade: str) -> dict[str, float]:
    key, groups = opening.public, values.size
    warm_s, _ = elapsed(lambda: seal(values[:1], key, parties=DEPARTMENTS, grade=grade))
    encrypt_s, sealed = median(lambda: seal(values, key, parties=DEPARTMENTS, grade=grade))
    raw = sealed.to_bytes()
    decode_s, again = median(lambda: SealedWords.from_bytes(raw, key))
    add_s, total = median(lambda: add([again] * DEPARTMENTS))
    open_s, opened = median(lambda: open_words(opening, total))
    assert np.array_equal(opened, DEPARTMENTS * values)
    return {
        "first_use_ms": 1e3 * warm_s,
        "encrypt_us": 1e6 * encrypt_s / groups,
        "decode_us": 1e6 * decode_s / groups,
        "add_us": 1e6 * add_s / groups / (DEPARTMENTS - 1),
        "open_us": 1e6 * open_s / groups,
        "bytes": len(raw) / groups,
    }


def pooled_us(opening: OpeningKey, values: np.ndarray, grade: str) -> dict[str, float]:
    """Return what sealing costs when the factors wait in a pool, and what the pool cost."""
    count, key = -(-values.size // 47), opening.public
    pool = RandomPool(key, grade)
    fill_s, _ = elapsed(lambda: pool.fill(count))
    encrypt_s, _ = elapsed(lambda: seal(values, key, parties=DEPARTMENTS, grade=grade, pool=pool))
    return {"fill_us": 1e6 * fill_s / values.size, "encrypt_us": 1e6 * encrypt_s / values.size}


def masked_round_us(opening: OpeningKey, values: np.ndarray) -> float:
    """Return microseconds a group: masks, sealing, bytes, decoding, adding, opening, all of five."""
    key, sums = opening.public, zero_sums()

    def whole():
        raws = [seal(values, key, parties=DEPARTMENTS, zero_sum=each).to_bytes() for each in sums]
        return open_words(opening, add([SealedWords.from_bytes(raw, key) for raw in raws]))

    seconds, opened = elapsed(whole)
    assert np.array_equal(opened, DEPARTMENTS * values)
    return 1e6 * seconds / values.size


def ratios(plain: dict[str, float], ours: dict[str, float], whole_us: float) -> dict[str, float]:
    plain_us = (
        DEPARTMENTS * plain["encrypt_us"] + (DEPARTMENTS - 1) * plain["add_us"] + plain["open_us"]
    )
    found = {
        "encrypt": plain["encrypt_us"] / ours["encrypt_us"],
        "add": plain["add_us"] / ours["add_us"],
        "add_with_decoding": plain["add_us"] / (ours["add_us"] + ours["decode_us"]),
        "open": plain["open_us"] / ours["open_us"],
        "bytes": plain["bytes"] / ours["bytes"],
        "end_to_end": plain_us / whole_us,
    }
    return {name: round(value, 1) for name, value in found.items()}


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    groups = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    generate_s, opening = elapsed(
        lambda: OpeningKey.generate(
            BITS, "bench", "2026-01-01T00:00:00Z", SystemRng(), subgroup=True
        )
    )
    prove_s, proof = elapsed(opening.prove)
    check_s, _ = elapsed(lambda: check_key(opening.public, proof, []))
    values = np.random.default_rng(7).integers(-(2**59), 2**59, groups)
    plain = phe_us(opening, values)
    grades = {grade: ours_us(opening, values, grade) for grade in ("B", "C")}
    whole_us = masked_round_us(opening, values)
    print(
        json.dumps(
            {
                "benchmark": "sealed",
                "groups": groups,
                "departments": DEPARTMENTS,
                "bits": BITS,
                "key_ms": rounded(
                    {"new": 1e3 * generate_s, "prove": 1e3 * prove_s, "check": 1e3 * check_s}
                ),
                "phe_per_cell": rounded(plain),
                "grade_b_per_cell": rounded(grades["B"]),
                "grade_c_per_cell": rounded(grades["C"]),
                "grade_a_pool_per_cell": rounded(pooled_us(opening, values, "A")),
                "masked_round_us_per_group": round(whole_us, 3),
                "times_plain_phe_grade_b": ratios(plain, grades["B"], whole_us),
                "targets": TARGETS,
                "peak_mib": peak_mib(),
                "load": round(os.getloadavg()[0], 2),
                "phe": version("phe"),
                "gmpy2": version("gmpy2"),
                "machine": machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
