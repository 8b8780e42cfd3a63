#!/usr/bin/env python3
"""`judge` on trainings by PyTorch alone: right ones are inside of the band of a reference, broken ones are outside.

    python tests/judge_test.py PROGRAM REFERENCE DATA OUT [CASE ...]
    python tests/judge_test.py PROGRAM REFERENCE DATA OUT weights [SEED ...]

Needs torch, numpy and safetensors. PROGRAM is the built resnet-repro; REFERENCE a folder of its finished runs of one network and recipe on the CIFAR-10 files in DATA
(float32, no warm-up, milestones), such as those of

    for seed in 0 1 2 3 4 5 6; do resnet-repro train --network resnet-8 --dataset cifar10 --data DATA --iterations 600 --set batch_size=32 \
        --seed $seed --out REFERENCE/resnet-8/seed-$seed; done

The recipe is taken from there. Network, batches and training loop are written here from the paper, in the usual PyTorch way. Each case's log goes to
OUT/CASE.csv, unless it is there from before. Cases below MUST have to be outside; of the others docs/verification.md says how they come out.

With "weights" nothing is trained: the final weights of each seed of REFERENCE are tested as they must be, and wrongly, and each seed's log with that test
error is judged by the other seeds.
"""

import csv
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

RIGHT = ("right-1", "right-2", "right-3")
# Trained as right-1, and tested wrongly.
TESTS = ("test-augmentation", "test-normalisation", "test-in-training-mode")
MUST = ("test-normalisation", "in-order-of-class", "rate-5", "decay-100")
OTHERS = ("test-augmentation", "test-in-training-mode", "rate-0.2", "no-shortcut", "in-order-of-file", "decay-0", "decay-5", "no-augmentation", "no-momentum")


class Block(nn.Module):
    def __init__(self, inputs, filters, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.added, self.shortcut = stride, filters - inputs, shortcut

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.shortcut:
            y = y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added // 2, self.added // 2))
        return F.relu(y)


def network(depth, shortcut):
    """Section 4.2: 16, 32 and 64 filters, identity shortcuts, option A."""
    count = (depth - 2) // 6
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    inputs = 16
    for filters in (16, 32, 64):
        for index in range(count):
            layers.append(Block(inputs, filters, 2 if index == 0 and filters > 16 else 1, shortcut))
            inputs = filters
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    return net


def images(paths):
    records = np.concatenate([np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073) for path in paths])
    pixels = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()).float() / 255
    return pixels, torch.from_numpy(records[:, 0].astype(np.int64))


def augmented(pixels, generator):
    """Padded by 4 pixels on each side, a 32×32 crop of it, flipped or not (section 4.2)."""
    padded = F.pad(pixels, (4, 4, 4, 4))
    out = torch.empty_like(pixels)
    for index in range(len(pixels)):
        top, left, flip = torch.randint(9, (2,), generator=generator).tolist() + torch.randint(2, (1,), generator=generator).tolist()
        crop = padded[index, :, top : top + 32, left : left + 32]
        out[index] = crop.flip(-1) if flip else crop
    return out


def train(case, name, recipe, data, out):
    """Trains as the recipe says, but for what the case breaks, and writes the log as many programs do: fractions, and the accuracy of tests."""
    seed = 100 + int(case[-1]) if case in RIGHT else 200
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    (train_pixels, train_labels), (test_pixels, test_labels) = images(sorted(data.glob("data_batch_*.bin"))), images([data / "test_batch.bin"])
    mean = train_pixels.mean(0)
    train_pixels, test_pixels = train_pixels - mean, test_pixels - mean
    if case == "in-order-of-class":
        order = torch.argsort(train_labels, stable=True)
        train_pixels, train_labels = train_pixels[order], train_labels[order]
    kind, depth = name.split("-")
    net = network(int(depth), kind == "resnet" and case != "no-shortcut")
    rate = recipe["learning_rate"] * {"rate-0.2": 0.2, "rate-5": 5}.get(case, 1)
    decay = recipe["weight_decay"] * {"decay-0": 0, "decay-5": 5, "decay-100": 100}.get(case, 1)
    momentum = 0 if case == "no-momentum" else recipe["momentum"]
    optimizer = torch.optim.SGD(net.parameters(), rate, momentum, weight_decay=decay)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, recipe["milestones"], recipe["learning_rate_factor"])
    count, size = len(train_labels), recipe["batch_size"]
    order, rows = torch.empty(0, dtype=torch.int64), []
    for iteration in range(1, recipe["iterations"] + 1):
        if len(order) < size:
            following = torch.arange(count) if case.startswith("in-order") else torch.randperm(count, generator=generator)
            order = torch.cat([order, following])
        batch, order = order[:size], order[size:]
        pixels, labels = train_pixels[batch], train_labels[batch]
        if recipe["augment"] and case != "no-augmentation":
            pixels = augmented(pixels, generator)
        scores = net(pixels)
        optimizer.zero_grad()
        F.cross_entropy(scores, labels).backward()
        optimizer.step()
        scheduler.step()
        rows.append([iteration, (scores.argmax(1) != labels).float().mean().item(), ""])
    for test in (case, *TESTS) if case == "right-1" else (case,):
        rows[-1][2] = accuracy(test, net, test_pixels, test_labels, generator)
        with (out / f"{test}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["iteration", "train_err", "test_acc"])
            writer.writerows(rows)


@torch.no_grad()
def accuracy(case, net, pixels, labels, generator):
    """The share of test images that are right, tested as the case says."""
    net.train(case == "test-in-training-mode")
    right, total = 0, len(labels)
    for pixels, labels in zip(pixels.split(100), labels.split(100)):
        if case == "test-augmentation":
            pixels = augmented(pixels, generator)
        if case == "test-normalisation":
            pixels = pixels / pixels.std()
        right += (net(pixels).argmax(1) == labels).sum().item()
    return right / total


def judged(program, log, name, reference, *more):
    command = [program, "judge", log, "--network", name, "--reference", reference, "--json", *more]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        sys.exit(run.stderr)
    return json.loads(run.stdout)


def in_order(tensors, depth):
    """The tensors of a weight file as the network's state has them."""
    count = (depth - 2) // 6
    blocks = [f"layer{stage}.{index}" for stage in (1, 2, 3) for index in range(count)]
    pairs = [("conv1", "bn1")] + [(f"{block}.conv{one}", f"{block}.bn{one}") for block in blocks for one in (1, 2)]
    for convolution, normalisation in pairs:
        yield tensors[f"{convolution}.weight"]
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield tensors[f"{normalisation}.{part}"]
    yield from (tensors["fc.weight"], tensors["fc.bias"])


def weights(program, name, reference, data, out, seeds):
    """Judges every seed with its test error as it must be, and as it is tested wrongly; returns how many right ones are outside."""
    kind, depth = name.split("-")
    mean = images(sorted(data.glob("data_batch_*.bin")))[0].mean(0)
    pixels, labels = images([data / "test_batch.bin"])
    failed = 0
    for run in sorted(path.parent for path in reference.rglob("weights.safetensors") if not seeds or path.parent.name[5:] in seeds):
        others = out / f"without-{run.name}"
        shutil.rmtree(others, ignore_errors=True)
        shutil.copytree(run.parent, others / name, ignore=lambda _, names: [other for other in names if other in (run.name, "analysis")])
        net = network(int(depth), kind == "resnet")
        state = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
        net.load_state_dict(dict(zip(state, in_order(load_file(run / "weights.safetensors"), int(depth)), strict=True)), strict=False)
        iterations = tomllib.loads((run / "run.toml").read_text())["run"]["recipe"]["iterations"]
        for test in ("right", *TESTS):
            share = accuracy(test, net, pixels - mean, labels, torch.Generator().manual_seed(1))
            tests = out / f"{run.name}-{test}.csv"
            tests.write_text(f"iteration,test_acc\n{iterations},{share}\n")
            found = judged(program, run / "train.csv", name, others, "--test-log", tests, "--training-column", "error")
            print(f"{run.name}, {test}: test error {100 * (1 - share):.2f}: {found['verdict']}", flush=True)
            failed += test == "right" and not found["inside"]
    return failed


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    program, (reference, data, out) = str(Path(sys.argv[1]).resolve()), map(Path, sys.argv[2:5])
    record = tomllib.loads(next(iter(sorted(reference.rglob("run.toml")))).read_text())
    name, recipe = record["run"]["network"], record["run"]["recipe"]
    out.mkdir(parents=True, exist_ok=True)
    if sys.argv[5:6] == ["weights"]:
        return 1 if weights(program, name, reference, data, out, sys.argv[6:]) else 0
    failed = 0
    for case in sys.argv[5:] or RIGHT + MUST + OTHERS:
        path = out / f"{case}.csv"
        if not path.exists():
            train("right-1" if case in TESTS else case, name, recipe, data, out)
        found = judged(program, path, name, reference)
        print(f"{case}: {found['verdict']}", flush=True)
        failed += found["inside"] and case in MUST or not found["inside"] and case in RIGHT
    print(f"{failed} cases are not judged as they must be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
