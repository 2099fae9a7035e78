"""Reads what the first system kept in Convex."""
