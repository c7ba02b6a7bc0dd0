"""Reach a Docker daemon through its client: what every engine on Docker shares, whatever it orchestrates with."""
