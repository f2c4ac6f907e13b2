"""Data sets of people in two kinds of light: where their pictures are, and how batches are made of them."""
