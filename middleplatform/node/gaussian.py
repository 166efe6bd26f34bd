"""The discrete Gaussian mechanism, by OpenDP (extra ``dp``): integers in, integers out, chance from the system.

Spec: docs/spec/differential-privacy.md, "Noise".
"""

import math
from collections.abc import Sequence
from typing import Any

from middleplatform.disclosure.privacy import WordNoise
from middleplatform.errors import ConfigError

__all__ = ["check_mechanism", "discrete_gaussian"]

_TRIES = 64


def discrete_gaussian(values: Sequence[int], word: WordNoise) -> list[int]:
    """Return values with the noise of a word; each draw is of its own.

    The scale is the least that OpenDP itself, which rounds against us, says to keep within the word's loss.

    Args:
        values: Of all cells, in steps, at most 2**62 in absolute value.
        word: Says how much noise.

    Raises:
        ConfigError: C003 the extra ``dp`` is not installed.

    Reveals:
        Nothing; that it gives what it returns away costs ``word.rho``.
    """
    if not values:
        return []
    found: Sequence[int] = _mechanism(word)(list(values))
    return [int(value) for value in found]


def check_mechanism() -> None:
    """Return only if OpenDP is installed.

    Raises:
        ConfigError: C003 otherwise.

    Reveals:
        Nothing.
    """
    _library()


def _library() -> Any:  # noqa: ANN401 - a module that may be missing
    try:
        import opendp.prelude as dp  # noqa: PLC0415 - heavy, and needed where policy offers noise only
    except ImportError:
        what = (
            "differential privacy needs the extra dp: pip install 'middleplatform[dp]'",
            "差分隐私需要安装扩展 dp：pip install 'middleplatform[dp]'",
        )
        raise ConfigError("C003", what=what) from None
    dp.enable_features("contrib")
    return dp


def _mechanism(word: WordNoise) -> Any:  # noqa: ANN401 - a measurement of that module
    dp = _library()
    # 64 bits: the library's own default of 32 saturates without a word.
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    change = math.nextafter(math.sqrt(word.groups) * word.most, math.inf)
    scale = math.sqrt(word.variance)
    for _ in range(_TRIES):
        made = dp.m.make_gaussian(*space, scale, MO="ZeroConcentratedDivergence")
        if made.map(change) <= word.rho:
            return made
        scale *= 1 + 2**-50
    raise AssertionError("a little more noise always suffices")
