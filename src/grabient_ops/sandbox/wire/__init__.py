"""Four companies' HTTP, one file each; what they share is outside this folder."""
