"""Readers of other systems and of plain files: each yields values and stores nothing."""
