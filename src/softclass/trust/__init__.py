"""Are the probabilities true? Metrics, reliability and calibration."""
