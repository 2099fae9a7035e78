"""The warehouse: every question over every answer, in DuckDB over an immutable Parquet lake."""
