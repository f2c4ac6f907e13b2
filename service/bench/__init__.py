"""Measurements that a user can repeat: ratios against a plain peer in the same run."""
