"""Four companies' HTTP, a folder each: its batches, their lines, what a message in one may hold."""
