"""The operational store: what was asked, what was answered, what changed (SQLite or PostgreSQL)."""
