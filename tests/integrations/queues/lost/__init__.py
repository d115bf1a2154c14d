"""A Django project whose workers lose their database connections: the test kills them."""
