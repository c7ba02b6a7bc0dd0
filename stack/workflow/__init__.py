"""The steps that commands share, from opening an instance to putting other data in place of its own."""
