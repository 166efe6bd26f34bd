"""The demonstration's policy with exact values: for tests that compare with the pooled answer."""

import atexit
import re
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.policy.examples import example

__all__ = ["exact_demo", "exact_rules"]


def exact_demo(folder: Path) -> Path:
    """Write the demonstration's bundle to a new folder: every method of release ``exact``, small populations too."""
    place = Path(shutil.copytree(str(example("demo")), folder / "exact"))
    changed = 0
    for path in place.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for method in ("perturb", "table"):
            changed += text.count(f"method: {method}")
            text = text.replace(f"method: {method}", "method: exact")
        text = re.sub(r"noise_below: [1-9]\d*", "noise_below: 0", text)
        path.write_text(text, encoding="utf-8")
    assert changed >= 2, "the demonstration has several methods"
    return place


@lru_cache(maxsize=1)
def exact_rules():
    """Return folder, catalogue and bundle of one such copy for the whole process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    place = exact_demo(folder)
    catalog = catalogs.load(example("demo") / "catalog")
    return place, catalog, policies.load(place, catalog)
