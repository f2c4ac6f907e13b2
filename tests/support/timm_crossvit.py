"""What timm's CrossViT makes of random weights and pictures, written to files: ``python timm_crossvit.py FOLDER``.

A program of its own, because timm imports torchvision, whose operators are missing beside a torch for
processors only; here they are named so that the import succeeds, and never called.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

GRIDS = ((8, 4), (6, 3))
"""Of patches of 12 and 16 px on a picture of 96 x 48."""


def name_missing_operators() -> torch.library.Library | None:
    try:
        torch.ops.torchvision.nms.default  # noqa: B018 - whether it is there
    except AttributeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


def write_reference(size: str, folder: Path) -> None:
    import timm
    from timm.layers import resample_abs_pos_embed
    from timm.models.crossvit import scale_image

    torch.manual_seed(0)
    square = timm.create_model(f"crossvit_{size}_240", num_classes=7).eval()
    with torch.no_grad():
        for parameter in square.parameters():  # biases and scales too: a swapped pair of zeros would not be seen
            parameter.add_(0.1 * torch.randn_like(parameter))
        state = square.state_dict()
        person = timm.create_model(
            f"crossvit_{size}_240", num_classes=7, img_size=(96, 48), img_scale=(1.0, 1.0)
        ).eval()
        resampled = dict(state)
        for branch, grid in enumerate(GRIDS):
            name = f"pos_embed_{branch}"
            resampled[name] = resample_abs_pos_embed(state[name], list(grid))
        person.load_state_dict(resampled)
        pictures, crops = torch.randn(2, 3, 240, 240), torch.randn(2, 3, 96, 48)
        results = {f"state.{name}": tensor for name, tensor in state.items()}
        results |= {"pictures": pictures, "smaller": scale_image(pictures, (224, 224)), "crops": crops}
        for name, model, given in (("square", square, pictures), ("person", person, crops)):
            for branch, tokens in enumerate(model.forward_features(given)):
                results[f"{name}.{branch}"] = tokens
    save_file({name: tensor.clone().contiguous() for name, tensor in results.items()}, folder / f"{size}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    kept = name_missing_operators()  # its definitions go with it
    for each in ("tiny", "small"):
        write_reference(each, Path(sys.argv[1]))
