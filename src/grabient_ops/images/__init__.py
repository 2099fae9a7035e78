"""Pictures of palettes: how they are drawn, and where they are kept."""
