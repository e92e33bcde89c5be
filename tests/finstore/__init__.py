"""Tests of the bars on disk."""
