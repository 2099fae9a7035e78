"""OpenAI's HTTP, and Groq's, which is the same but for a few habits."""
