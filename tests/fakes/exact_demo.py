"""The demonstration's policy with exact values: for tests that compare with the pooled answer."""

import shutil
from pathlib import Path

from middleplatform.policy.examples import example

__all__ = ["exact_demo"]


def exact_demo(folder: Path) -> Path:
    """Write the demonstration's bundle to a new folder, every method of release made ``exact``."""
    place = Path(shutil.copytree(str(example("demo")), folder / "exact"))
    changed = 0
    for path in place.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for method in ("perturb", "table"):
            changed += text.count(f"method: {method}")
            text = text.replace(f"method: {method}", "method: exact")
        path.write_text(text, encoding="utf-8")
    assert changed >= 2, "the demonstration has several methods"
    return place
