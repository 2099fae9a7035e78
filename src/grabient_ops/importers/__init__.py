"""Readers of files that hold palettes: each yields domain values and writes nothing."""
