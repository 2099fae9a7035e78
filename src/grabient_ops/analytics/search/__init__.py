"""Finds refined palettes by meaning, over vectors that live in the lake."""
