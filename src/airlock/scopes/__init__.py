"""WHERE: scopes, regions and enclosures, and which one is current."""
