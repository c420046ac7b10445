"""One small module a source; each yields the canonical table."""
