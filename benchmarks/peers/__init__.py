"""Peers that private joins are measured beside, each in an environment of its own: never a dependency of the platform.

``python -m benchmarks.peers <name> --rows N`` prints one JSON line. A peer's own file runs under the interpreter of its
environment and imports nothing of ours. Environments are made on the first use, never by a test.
"""
