"""A Django project whose workers and senders run in processes of their own."""
