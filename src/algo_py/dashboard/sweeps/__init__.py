"""Sweeps as work in the background: every core helps, and cancel ends them."""
