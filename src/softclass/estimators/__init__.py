"""Weights that make the loss small, behind scikit-learn's API."""
