"""A node as a process of its own: signed messages over mutual TLS, limits, health and metrics."""
