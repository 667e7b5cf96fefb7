"""`make bench`: measure the library next to alternatives in one run, and write `docs/performance.md`."""
