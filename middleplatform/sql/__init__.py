"""Stages 1 and 2: from text to governed values and facts, and back to SQL."""
