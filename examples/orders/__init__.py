"""A small shop: orders in SQLite, e-mail over SMTP, a warehouse over HTTP. ``make demo`` runs it."""
