"""The only way to a model: OpenAI-compatible routes, guards, engines, streaming."""
