"""Raw files to columns, pixels, targets and features."""
