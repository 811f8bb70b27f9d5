"""Events and what became of them, searched by fate."""
