"""How retrieval is judged: the field's protocols, metrics, re-ranking, calibration. NumPy only."""
