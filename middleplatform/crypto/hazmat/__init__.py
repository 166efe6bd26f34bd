"""Primitives that are easy to use wrongly.

.. hazmat::
    Each module names the recipe to use instead.
"""
