"""Tests of what can be traded, and when."""
