"""How a store of an earlier form becomes one of the present form; run by ``Store.open`` alone."""
