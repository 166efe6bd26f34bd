"""Stage 3: what may be done with a statement, decided from facts and policy alone."""
