"""The demonstration: five departments and six counties on real public data."""
