"""The watchlist, the alerts that it gives, and the ways by which they reach people."""
