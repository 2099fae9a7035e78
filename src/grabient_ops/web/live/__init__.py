"""Live queries: what pages show is read again when it changes, once for all who look at it."""
