"""Temporary."""

import asyncio
import inspect
from typing import Any, TypeAlias

from triage.errors import ConfigurationError
from triage.models import Verdict


class Classifier:
    extra: Any = ()
    priced: Any = True

    def check(self, buckets): ...
    def warm_up(self): ...
    def close(self): ...
    async def aclose(self): ...


class _C(Classifier):
    def __init__(self, c):
        self._c = c
        self.extra = getattr(c, "extra", ())
        self.priced = getattr(c, "priced", True)

    def __repr__(self):
        return repr(self._c)

    def check(self, b):
        if hasattr(self._c, "check"):
            self._c.check(b)

    def warm_up(self):
        if hasattr(self._c, "warm_up"):
            self._c.warm_up()

    def close(self):
        if hasattr(self._c, "close"):
            self._c.close()

    async def aclose(self):
        if hasattr(self._c, "aclose"):
            await self._c.aclose()

    def classify(self, conv, b):
        if hasattr(self._c, "classify"):
            return self._c.classify(conv, b)
        if hasattr(self._c, "classify_async") or inspect.iscoroutinefunction(self._c):
            raise ConfigurationError("is async only: call handle_async(), or give it a classify() method as well.")
        a = self._c(conv.text)
        return a if isinstance(a, Verdict) else Verdict(bucket=a)

    async def classify_async(self, conv, b):
        if hasattr(self._c, "classify_async"):
            return await self._c.classify_async(conv, b)
        if inspect.iscoroutinefunction(self._c):
            a = await self._c(conv.text)
            return a if isinstance(a, Verdict) else Verdict(bucket=a)
        return await asyncio.to_thread(self.classify, conv, b)


def as_classifier(c):
    return _C(c)


ClassifierLike: TypeAlias = Any
