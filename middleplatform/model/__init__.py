"""Frozen values handed from stage to stage; no I/O."""
