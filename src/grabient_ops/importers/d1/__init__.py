"""Reads what Cloudflare D1 held: a dump, which is never executed, or a SQLite file."""
