"""Stage 5: fragments to nodes, and the rounds of a secure sum between them."""
