"""Figures for Prometheus, and whether the server is well."""
