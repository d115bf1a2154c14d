"""Plugins that other programs load at their start, whether or not they use airlock.

It stands beside the package ``airlock`` because importing a module of a package runs the package's
``__init__``, which takes a while. Nothing here imports airlock before it is used.
"""
