"""Tags colour palettes through four batch APIs, durably, and keeps every answer."""

from importlib.metadata import version

__version__ = version("grabient-ops")
