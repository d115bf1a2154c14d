"""The vocabulary: one test module for each module of ``airlock.effects``, the policies and segments."""
