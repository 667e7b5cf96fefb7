"""Sync and async I/O behind one interface, and the retry policy.

The classifiers, the inboxes and the engine build on this layer, which depends on none of them.
"""
