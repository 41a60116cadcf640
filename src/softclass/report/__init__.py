"""An evaluation becomes one HTML page."""
