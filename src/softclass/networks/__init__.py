"""Features to logits: what a network is, as pure data."""
