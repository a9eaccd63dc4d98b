"""What results say: scores, differences, calibration, verdicts."""
