"""How retrieval is judged: the field's protocols, metrics, re-ranking, calibration. NumPy only."""

from models.evaluation.judging import TrialResult, judge, judge_trials
from models.evaluation.metrics import RetrievalResult
from models.evaluation.protocols import evaluate, evaluate_distances, list_protocols
from models.evaluation.rerank import RerankOptions, k_reciprocal
from models.evaluation.trials import Direction, Draw, SearchMode, Trial, TrialOptions, trials

__all__ = [
    "Direction",
    "Draw",
    "RerankOptions",
    "RetrievalResult",
    "SearchMode",
    "Trial",
    "TrialOptions",
    "TrialResult",
    "evaluate",
    "evaluate_distances",
    "judge",
    "judge_trials",
    "k_reciprocal",
    "list_protocols",
    "trials",
]
