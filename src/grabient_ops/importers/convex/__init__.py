"""What the first system kept in Convex: `export` reads a ZIP of it, `stream` follows it live."""
