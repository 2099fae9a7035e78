"""Google's HTTP, as Gemini speaks it."""
