#!/usr/bin/env python3
"""The analyses give the numbers of an independent computation with PyTorch, by hooks on a net that is written here.

    python tests/analyses_test.py PROGRAM WEIGHTS DATA [KINDS]

WEIGHTS is a safetensors file of the public ResNet-20 (shortcuts of option A, pixels normalised as ImageNet's), DATA a folder in CIFAR-10's binary
layout with its test images. KINDS, with commas, names some of: responses, lesion. Needs torch, numpy and safetensors.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BLOCKS = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]


def read(path):
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 3073)
    pixels = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()).float() / 255
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (pixels - mean) / deviation, torch.from_numpy(records[:, 0].astype(np.int64))


class Block(torch.nn.Module):
    def __init__(self, inputs, outputs, residual):
        super().__init__()
        self.stride, self.added, self.residual = outputs // inputs, outputs - inputs, residual
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(outputs)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(outputs)
        self.deleted = False

    def forward(self, x):
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added // 2, self.added // 2))
        if self.deleted:
            return F.relu(shortcut)
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(branch + shortcut if self.residual else branch)


class Net(torch.nn.Module):
    def __init__(self, blocks=3, residual=True, widths=(16, 32, 64)):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(widths[0])
        before = widths[0]
        for stage, width in enumerate(widths):
            layers = []
            for _ in range(blocks):
                layers.append(Block(before, width, residual))
                before = width
            setattr(self, f"layer{stage + 1}", torch.nn.Sequential(*layers))
        self.fc = torch.nn.Linear(widths[-1], 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def analyze(kind, *options):
    program, weights, data = sys.argv[1:4]
    command = [program, "analyze", kind, "--network", "resnet-20", "--weights", weights, "--dataset", "cifar10", "--data", data]
    output = subprocess.run(command + ["--normalize", "imagenet", "--json", *options], capture_output=True, text=True, check=True)
    return json.loads(output.stdout)


def near(name, found, expected, bound=2e-4):
    difference = abs(found - expected) / max(abs(expected), 1e-12)
    assert difference < bound, f"{name}: {found} instead of {expected}"


def responses(net, images, labels):
    found = {row["layer"]: row for row in analyze("responses")["rows"]}
    expected = {}

    def hook(name):
        return lambda module, inputs, output: expected.setdefault(name, []).append(output.double())

    handles = [module.register_forward_hook(hook(name)) for name, module in net.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        net(images)
    for handle in handles:
        handle.remove()
    assert set(found) == set(expected) and len(found) == 19
    for name, (output,) in expected.items():
        near(f"std of {name}", found[name]["std"], output.std().item())
        assert abs(found[name]["mean"] - output.mean().item()) < 1e-4 * output.std().item(), name
    known = {"bn1": 0.7285, "layer1.0.bn1": 0.7417, "layer1.0.bn2": 0.4232, "layer2.2.bn2": 0.4967, "layer3.2.bn2": 1.6246}
    for name, value in known.items():
        assert f"{found[name]['std']:.4f}" == f"{value:.4f}", name
    print("responses: the standard deviations of 19 layers are PyTorch's")


def wrong(net, images, labels):
    with torch.no_grad():
        logits = net(images)
    return (logits.argmax(1) != labels).sum().item(), F.cross_entropy(logits.double(), labels).item()


def lesion(net, images, labels):
    rows = analyze("lesion", "--samples", "2")["rows"]
    of = {(row["test"], row["block"]): row for row in rows if row["test"] in ("whole", "single")}
    modules = dict(net.named_modules())

    def check(key, count, loss):
        assert of[key]["wrong"] == count, f"{key}: {of[key]['wrong']} wrong instead of {count}"
        near(f"loss of {key}", of[key]["loss"], loss)

    check(("whole", ""), *wrong(net, images, labels))
    counts = []
    for name in BLOCKS:
        modules[name].deleted = True
        count, loss = wrong(net, images, labels)
        check(("single", name), count, loss)
        counts.append(count)
        modules[name].deleted = False
    assert counts == [230, 211, 371, 633, 224, 154, 615, 276, 385], counts
    ranked = [row for row in rows if row["test"] == "ranked"]
    assert sorted(row["block"] for row in ranked) == sorted(BLOCKS)
    for row in ranked:
        modules[row["block"]].deleted = True
        count, loss = wrong(net, images, labels)
        assert row["wrong"] == count, f"ranked {row['count']}: {row['wrong']} instead of {count}"
    for name in BLOCKS:
        modules[name].deleted = False
    print("lesion: the errors without one block, and without more and more of them, are PyTorch's")


def main():
    net = Net().eval()
    weights = load_file(sys.argv[2])
    net.load_state_dict({name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}, strict=False)
    images, labels = read(pathlib.Path(sys.argv[3], "test_batch.bin"))
    kinds = sys.argv[4].split(",") if len(sys.argv) > 4 else ["responses", "lesion"]
    for kind in kinds:
        globals()[kind](net, images, labels)


if __name__ == "__main__":
    main()
