"""Imaginary models: what the colours say, each model's taste, and what real models do wrong."""
