"""Commands of the app: `manage.py relay`."""
