"""A rendered world of known people: walked by day before colour cameras, by night before infrared ones."""
