"""数据可用不可见: governed SQL over the data of many departments, answered with safe aggregates."""

__version__ = "0.1.0"
__all__ = ["__version__"]
