"""Saved copies of an instance's data: what is in one, its file, and how it comes from a server and back into one."""
