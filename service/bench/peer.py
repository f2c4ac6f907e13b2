"""The plain peer: what one writes in an afternoon from the same packages, frame by frame, nothing batched.

Ultralytics runs the same YOLOv7 ONNX file on ONNX Runtime, boxmot's StrongSort calls its own ReID network
(OSNet x0.25) for every frame, and a ResNet-50 in eager torch makes a search vector of every box. Run as
``python -m service.bench.peer VIDEO --detector yolov7.onnx --frames N``; prints one JSON line.
Without ``--reid-weights`` OSNet has random weights: the time is the same, the tracks mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")

import cv2
import numpy as np
import torch
from torch import nn

from models.reid.backbones import create_backbone
from pipeline.track import mot_row

OSNET_FILE = "osnet_x0_25_msmt17.pt"  # boxmot tells the architecture from the name


def random_osnet(folder: Path) -> Path:
    from boxmot.reid.backbones.registry import build_backbone

    path = folder / OSNET_FILE
    torch.save(build_backbone("osnet_x0_25", num_classes=1041, pretrained=False).state_dict(), path)
    return path


class SearchVector(nn.Module):
    """ResNet-50 with global pooling, as a plain script embeds persons for search."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = create_backbone("resnet50", last_stride=2, stride_in_1x1=False)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        # `shift` is the length of clips; 1 switches the temporal shift off.
        last = self.trunk(crops, shift=1)[5]
        return nn.functional.normalize(last.mean(dim=(2, 3)), dim=1)


def search_vectors(network: nn.Module, frame: np.ndarray, boxes: np.ndarray) -> None:
    """One call for each box, as the plain script does it."""
    height, width = frame.shape[:2]
    for x1, y1, x2, y2 in boxes.astype(int):
        crop = frame[max(0, y1) : min(height, y2), max(0, x1) : min(width, x2)]
        if crop.size:
            small = cv2.resize(crop, (128, 256)).astype(np.float32) / 255
            network(torch.from_numpy(small.transpose(2, 0, 1)[None]))


def measure(video: Path, detector: Path, frames: int, threads: int, reid: Path, mot: Path | None) -> dict[str, Any]:
    from boxmot import StrongSort
    from ultralytics import YOLO

    yolo = YOLO(str(detector), task="detect")
    tracker = StrongSort(reid_weights=reid, device=torch.device("cpu"), half=False)
    network = SearchVector().eval()
    capture = cv2.VideoCapture(str(video))
    stages = dict.fromkeys(("decode", "detect", "track", "embed"), 0.0)
    boxes_seen, done, rows, first_ids = 0, 0, [], set()
    begun = time.perf_counter()
    with torch.inference_mode():
        while done < frames:
            t0 = time.perf_counter()
            ok, frame = capture.read()
            if not ok:
                break
            t1 = time.perf_counter()
            found = yolo.predict(frame, conf=0.4, classes=[0], imgsz=640, verbose=False)[0].boxes.data.numpy()
            # predict() sets torch's threads to cores - 1; the peer is measured with all of them.
            torch.set_num_threads(threads)
            t2 = time.perf_counter()
            tracks = tracker.update(found.astype(np.float32), frame)
            t3 = time.perf_counter()
            search_vectors(network, frame, found[:, :4])
            t4 = time.perf_counter()
            for name, seconds in zip(stages, (t1 - t0, t2 - t1, t3 - t2, t4 - t3), strict=True):
                stages[name] += seconds
            boxes_seen += len(found)
            done += 1
            for row in tracks:
                x1, y1, x2, y2, track_id = (float(v) for v in row[:5])
                first_ids.add(int(track_id))
                rows.append(mot_row(done, int(track_id), np.array([x1, y1, x2, y2]), float(row[5])))
    wall = time.perf_counter() - begun
    if mot is not None:
        mot.write_text("".join(f"{row}\n" for row in rows))
    return {
        "frames": done,
        "fps": done / wall,
        "stages_ms": {name: 1000 * s / max(done, 1) for name, s in stages.items()},
        "boxes_per_frame": boxes_seen / max(done, 1),
        "track_ids": len(first_ids),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", type=Path, required=True, help="ONNX file")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--reid-weights", type=Path, help=f"{OSNET_FILE}; random when not given")
    parser.add_argument("--mot", type=Path, help="write tracks as MOTChallenge text")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # What the libraries say goes to stderr, so that stdout holds the result alone.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        reid = options.reid_weights or random_osnet(Path(folder))
        result = measure(options.video, options.detector, options.frames, options.threads, reid, options.mot)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
