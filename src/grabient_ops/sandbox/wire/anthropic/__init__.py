"""Anthropic's HTTP: batches are sent whole, so there are no files."""
