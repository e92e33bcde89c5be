"""Where bars come from: one protocol, and an adapter for each place."""

from algo_py.finstore.sources.protocol import Answer, Source

__all__ = ["Answer", "Source"]
