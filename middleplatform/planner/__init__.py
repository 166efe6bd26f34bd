"""Stage 4: who answers which release block, and what is asked of them."""
