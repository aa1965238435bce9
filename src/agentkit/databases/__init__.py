"""Databases that graphs may read: their schemas, a check of each query, a read-only door."""
