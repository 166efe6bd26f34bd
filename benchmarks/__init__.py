"""Measurements of the platform; see README.md beside this file."""
