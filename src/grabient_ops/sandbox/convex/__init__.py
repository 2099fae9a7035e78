"""A small Convex deployment: documents, their history, both streaming exports, and a mutation."""
