"""Tags colour palettes through four batch APIs, durably, and keeps every answer."""

__version__ = "0.1.0"
