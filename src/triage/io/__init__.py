"""Sync and async I/O."""
