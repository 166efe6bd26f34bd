"""Stands for a package that the platform does not need and an installation does not have.

Spark's client brings pandas to the tests. pyarrow looks for it and loads it, a quarter of a second in every process.
"""

raise ModuleNotFoundError("pandas is not installed", name="pandas")
