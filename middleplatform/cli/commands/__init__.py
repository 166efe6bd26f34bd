"""The commands, one module each: ``add`` declares its options, ``run`` does it."""
