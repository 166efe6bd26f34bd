"""The doors: who may call at all, and the shapes in which things leave.

Shared by the faces, which do not see each other. Below the gateway: knows no stage.

Reference: docs/reference/rest.md, docs/reference/errors.md.
"""
