"""The department's half: the trust boundary, and the only importer of connectors.

A node runs only fragments that the gateway signed, that it has not served before, and that its own bundle permits; it
adds its own row filters and disclosure control, and lets out released cells, masked words and signed receipts.
"""
