"""Published attacks, run as any analyst could against people who were made for it.

Nothing here reaches around the gateway: an attack gets a callable that takes a statement and returns what an analyst
sees. ``local`` alone opens a platform, for when no gateway is at hand.

How to run them: docs/howto/run-the-attacks.md.
"""

__all__: list[str] = []
