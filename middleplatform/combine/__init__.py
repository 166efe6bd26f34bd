"""Stage 6: from words to released values, and what stands above the release boundary."""
