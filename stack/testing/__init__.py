"""What the plugin of pytest is made of: an instance for a run of tests, and databases for single tests."""
