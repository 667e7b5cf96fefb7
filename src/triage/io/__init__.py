"""Sync and async I/O side by side, and the retry policy they share.

Claude, the inboxes and the engine all build on this layer, which knows nothing of any of them.
"""
