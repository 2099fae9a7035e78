"""The dashboard: pages that follow the data, served from the store that the pipeline writes."""
