"""Sweeps beside the page: each in a process of its own, so that the page stays usable, every core helps, and cancel ends it."""
