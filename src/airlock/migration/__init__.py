"""The way there: what a project uses until its effects go through scopes, and deletes then.

``celery.install`` and ``django.install_on_commit`` let the calls that a program has already go
through scopes, or count what scopes would have done with them. ``flake8`` finds the calls that are
left. Nothing else in airlock imports this package.
"""
