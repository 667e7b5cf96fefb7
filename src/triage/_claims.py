"""Which messages are being handled or have been: the inline mode's memory, of one process and bounded."""

import threading
from collections import OrderedDict

_CAPACITY = 50_000  # about 10 MB; Intercom, the one that retries soonest, does so after a minute


class Claims:
    """Keys that are taken. The oldest are forgotten first."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def claim(self, key: str) -> bool:
        """Take a key. False if it is taken already."""
        with self._lock:
            if key in self._keys:
                return False
            self._keys[key] = None
            if len(self._keys) > self._capacity:
                self._keys.popitem(last=False)
            return True

    def release(self, key: str) -> None:
        """Give a key back, so that the next delivery is handled."""
        with self._lock:
            self._keys.pop(key, None)
