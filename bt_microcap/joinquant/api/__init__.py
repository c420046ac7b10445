"""What a JoinQuant script finds on the platform, over the market of a run."""
