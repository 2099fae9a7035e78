"""Proofs that take longer than tests: speed as ratios, faults as a table."""
