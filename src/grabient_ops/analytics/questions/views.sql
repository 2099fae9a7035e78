-- Views: what can be asked in one's own SQL.
-- One row per (view, column): view, name and type of the column, in DuckDB's words.
-- Needs nothing. Those that are made for people first, then by name; columns as they stand.
SELECT table_name, column_name, data_type
FROM information_schema.columns
WHERE table_catalog <> 'temp' AND table_schema = 'main' AND NOT list_contains($hidden, table_name)
ORDER BY list_position($first, table_name) NULLS LAST, table_name, ordinal_position
