"""One page a file; each is built anew whenever somebody comes to it."""
