"""The policy: load bundles, judge single facts by them, lint them, run their tests.

``evaluate`` is pure and total, and denies what it does not know. Spec: docs/spec/policy-bundle.md.
"""

from middleplatform.policy.bundle import canonical_form, load

__all__ = ["canonical_form", "load"]
