"""Requests to quash: over HTTP, and with the native verifier."""
