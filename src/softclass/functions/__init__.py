"""Logits to probabilities, losses and derivatives."""
