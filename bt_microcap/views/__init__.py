"""What somebody looks at."""
