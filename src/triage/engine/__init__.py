"""What becomes of an event."""
