"""Documents that are found by their nearest neighbours."""
