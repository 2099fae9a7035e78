"""What every request must pass and every answer carries, as plain ASGI around the pages."""
