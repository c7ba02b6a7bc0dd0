"""Buckets for objects."""

from stack.components.bucket.declaration import Bucket

__all__ = ["Bucket"]
