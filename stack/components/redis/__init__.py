"""Redis: all that is special about it."""

from stack.components.redis.declaration import CachedValue, Entry, Redis, read_entry

__all__ = ["CachedValue", "Entry", "Redis", "read_entry"]
