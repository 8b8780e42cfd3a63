#!/usr/bin/env python3
"""Compares with torchvision: writes a network's weights, images and class scores for the program to repeat, or reads its weight files.

    python scripts/export_torchvision.py export resnet-50 FOLDER       # FOLDER/weights.safetensors, FOLDER/scores.safetensors
    python scripts/export_torchvision.py load resnet-50 WEIGHTS        # does torchvision's model take the program's file, every tensor?
    python scripts/export_torchvision.py to-pth WEIGHTS OUT.pth        # the program's file as a checkpoint of PyTorch

Runs with any Python that has torch, torchvision, numpy and safetensors. Weights are drawn at random from a fixed seed, batch normalisation's
running statistics included, so that nothing is downloaded. Networks that torchvision has not, such as plain nets, are those of
tests/golden/reference_nets.py; for those that it has, "export" first checks that both compute the same.
tests/nets/torchvision.rs runs all of this if RESNET_REPRO_TORCHVISION names such a Python.
"""

import argparse
import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "golden"))
from reference_nets import build

IMAGES, SIDE = 2, 224
# Single precision's rounding, of the largest class score.
TOLERANCE = 1e-4


def model(name):
    """torchvision's model of that name, or the reference net where torchvision has none."""
    googlenet = lambda auxiliary: torchvision.models.googlenet(weights=None, aux_logits=auxiliary, init_weights=False)
    makers = {
        "resnet-18b": torchvision.models.resnet18,
        "resnet-34b": torchvision.models.resnet34,
        "resnet-50-v1.5": torchvision.models.resnet50,
        "resnet-101-v1.5": torchvision.models.resnet101,
        "resnet-152-v1.5": torchvision.models.resnet152,
        "vgg-16": torchvision.models.vgg16,
        "vgg-19": torchvision.models.vgg19,
        "googlenet": lambda: googlenet(False),
        "googlenet-aux": lambda: googlenet(True),
    }
    if name in makers:
        return makers[name]()
    if name in ("resnet-50", "resnet-101", "resnet-152"):
        return paper_strides(makers[f"{name}-v1.5"]())
    return build(name)


def paper_strides(net):
    """torchvision's bottlenecks with the stride on the first 1×1 layer, where the paper has it."""
    for module in net.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, (1, 1)
    return net


def randomise(net):
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.dim() > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
            elif name.endswith(("weight", "running_var")):
                tensor.uniform_(0.5, 1.5)
            elif not name.endswith("num_batches_tracked"):
                tensor.normal_(0, 0.2)


def difference(found, expected):
    """Largest difference, of the largest value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def export(name, folder):
    net = model(name).eval()
    randomise(net)
    images = torch.randn(IMAGES, 3, SIDE, SIDE)
    with torch.no_grad():
        scores = net(images)
        reference = build(name).eval()
        reference.load_state_dict(net.state_dict())
        apart = difference(reference(images), scores)
    if apart > TOLERANCE:
        sys.exit(f"error: {name}: tests/golden/reference_nets.py is {apart:.1e} away from torchvision")
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: tensor.contiguous() for key, tensor in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    save_file(weights, folder / "weights.safetensors")
    save_file({"images": images, "scores": scores}, folder / "scores.safetensors")
    print(f"{name}: {sum(parameter.numel() for parameter in net.parameters())} parameters, reference net {apart:.1e} away")


def load(name, weights):
    found = model(name).load_state_dict(load_file(weights), strict=False)
    missing = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        sys.exit(f"error: {name}: missing {missing[:3]}, unexpected {found.unexpected_keys[:3]}")
    print(f"{name}: every tensor of {weights} is torchvision's")


def to_pth(weights, output):
    # As nets that were trained on several GPUs are saved.
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in load_file(weights).items()}}, output)
    print(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, arguments in {"export": ("name", "folder"), "load": ("name", "weights"), "to-pth": ("weights", "output")}.items():
        subparser = commands.add_parser(command)
        for argument in arguments:
            subparser.add_argument(argument, type=str if argument == "name" else Path)
    arguments = vars(parser.parse_args())
    {"export": export, "load": load, "to-pth": to_pth}[arguments.pop("command")](**arguments)


if __name__ == "__main__":
    main()
