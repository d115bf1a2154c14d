"""Intents on the wire."""
