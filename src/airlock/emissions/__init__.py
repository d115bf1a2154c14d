"""WHAT WAS EMITTED, and what became of it."""
