"""The whole river in one object and one file."""
