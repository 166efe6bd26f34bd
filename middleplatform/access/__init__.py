"""Who may call at all: service tokens, stored hashed."""
