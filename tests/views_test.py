#!/usr/bin/env python3
"""The paper's tests on images give the scores of an independent computation with PyTorch and Pillow.

    python tests/views_test.py PROGRAM IMAGES [NUMBER [VIEWS]]

IMAGES has val/<class>/*.JPEG of any size. Makes torchvision nets with random weights, exports them, has PROGRAM score the images by centre
crop, ten crops and the multi-scale test (alone, and two nets as an ensemble; VIEWS names some, with commas), and does the same with torchvision's
transforms, on all images or the first NUMBER. Needs torch, torchvision,
safetensors, numpy and pillow.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms import functional

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# The largest difference of a probability. Pixels may differ by one grey level, where a resized value is half way between two.
BOUND = 1e-4


def images(folder):
    names = sorted(pathlib.Path(folder, "val").iterdir())
    return [(file, label) for label, name in enumerate(names) for file in sorted(name.iterdir())], len(names)


def normalised(image):
    return functional.normalize(functional.to_tensor(image), MEAN, DEVIATION)


def views(image, kind):
    """Batches of views of one image."""
    if kind == "multi-scale":
        for side in [224, 256, 384, 480, 640]:
            whole = normalised(functional.resize(image, side))
            yield torch.stack([whole, whole.flip(2)])
        return
    scaled = functional.resize(image, 256)
    crops = functional.ten_crop(scaled, 224) if kind == "10-crop" else [functional.center_crop(scaled, 224)]
    yield torch.stack([normalised(crop) for crop in crops])


def random_net(make, classes, seed):
    torch.manual_seed(seed)
    net = make(num_classes=classes)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()


@torch.no_grad()
def expected(nets, files, kind):
    rows = []
    for file, _ in files:
        image = Image.open(file).convert("RGB")
        batches = list(views(image, kind))
        each = [torch.cat([net(batch).double().softmax(1) for batch in batches]).mean(0) for net in nets]
        rows.append(torch.stack(each).mean(0))
    return torch.stack(rows)


def main():
    program, folder = str(pathlib.Path(sys.argv[1]).resolve()), str(pathlib.Path(sys.argv[2]).resolve())
    files, classes = images(folder)
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else len(files)
    kinds_of_views = sys.argv[4].split(",") if len(sys.argv) > 4 else ["centre", "10-crop", "multi-scale"]
    with tempfile.TemporaryDirectory() as work:
        if limit < len(files):
            # A part of the classes, so that the slow views take less time.
            part = pathlib.Path(work, "part")
            for file, label in files[:limit]:
                target = part / "val" / file.parent.name
                target.mkdir(parents=True, exist_ok=True)
                (target / file.name).symlink_to(file)
            folder = str(part)
            files, classes = images(folder)
        kinds = {"resnet-18b": torchvision.models.resnet18, "resnet-34b": torchvision.models.resnet34}
        nets = {name: random_net(make, classes, seed) for seed, (name, make) in enumerate(kinds.items())}
        for name, net in nets.items():
            save_file({key: value for key, value in net.state_dict().items() if "num_batches" not in key}, f"{work}/{name}.safetensors")
        for members in [["resnet-18b"], ["resnet-18b", "resnet-34b"]]:
            for kind in kinds_of_views:
                command = [program, "evaluate", "--dataset", "imagenet", "--data", folder, "--normalize", "imagenet", "--views", kind]
                for name in members:
                    command += ["--network", name, "--weights", f"{work}/{name}.safetensors"]
                subprocess.run([*command, "--scores", f"{work}/scores.safetensors"], check=True, stdout=subprocess.DEVNULL)
                found = load_file(f"{work}/scores.safetensors")
                assert found["labels"].long().tolist() == [label for _, label in files]
                probabilities = expected([nets[name] for name in members], files, kind)
                difference = (found["scores"].double().exp() - probabilities).abs().max().item()
                same = (found["scores"].argmax(1) == probabilities.argmax(1)).sum().item()
                print(f"{' + '.join(members)}, {kind}: largest difference of a probability {difference:.2e}, top-1 the same in {same} of {len(files)}")
                assert difference < BOUND, "scores differ"
                assert same == len(files), "a best class differs"


main()
