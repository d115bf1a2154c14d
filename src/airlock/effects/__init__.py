"""The vocabulary: intents, buffers, verdicts, policies, reports. Pure values and functions.

Nothing here does I/O, reads a clock or a context variable, or knows dependency injection.
"""
