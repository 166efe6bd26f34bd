"""Stage 7: which values may leave, judged on evidence about units."""
