"""Evaluate, compare and calibrate classifiers on labeled messages."""
