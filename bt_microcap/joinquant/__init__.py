"""The platform's side: its exports, and a replay of them."""
