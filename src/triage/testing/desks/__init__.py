"""Fakes of the help desks."""
