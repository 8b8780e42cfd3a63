#!/usr/bin/env python3
"""The analyses give the numbers of an independent computation with PyTorch, by hooks on a net that is written here.

    python tests/analyses_test.py PROGRAM WEIGHTS DATA [KINDS]

WEIGHTS is a safetensors file of the public ResNet-20 (shortcuts of option A, pixels normalised as ImageNet's), DATA a folder in CIFAR-10's binary
layout with its test images. KINDS, with commas, names some of: responses, lesion, gradients, paths, generalisation, landscape, curvature. Needs
torch, numpy and safetensors.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

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
        self.back_by = None

    def forward(self, x):
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added // 2, self.added // 2))
        if self.deleted:
            return F.relu(shortcut)
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.back_by:
            branch, shortcut = (branch, shortcut.detach()) if self.back_by == "branch" else (branch.detach(), shortcut)
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
        return self.rest(self.stem(x))

    def stem(self, x):
        return F.relu(self.bn1(self.conv1(x)))

    def rest(self, x):
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


BATCH, BATCHES = 128, 2


def batches(images, labels):
    """What the program takes with --images 256: images spread evenly over the split, 128 at a time."""
    count = BATCH * BATCHES
    chosen = torch.tensor([index * len(labels) // count for index in range(count)])
    return list(zip(images[chosen].split(BATCH), labels[chosen].split(BATCH)))


def gradients(net, images, labels):
    """Norms in training mode with the public weights; correlations with weights of PyTorch's own draws, so that they are alike, not the same."""
    found = analyze("gradients", "--split", "test", "--images", str(BATCH * BATCHES))
    rows = [row for row in found["rows"] if row["weights"] == "given"]
    norms = {(row["quantity"], row["layer"]): row for row in rows}
    expected = {}
    names = {name: module for name, module in net.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    outputs = {}

    def hook(name):
        def keep(module, inputs, output):
            output.retain_grad()
            outputs[name] = output

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in names.items()]
    net.train()
    for batch, targets in batches(images, labels):
        net.zero_grad()
        F.cross_entropy(net(batch), targets).backward()
        for name, output in outputs.items():
            expected.setdefault(("output", name.replace("bn", "conv")), []).append(output.grad.double().norm().item())
        for name, module in net.named_modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                expected.setdefault(("weights", name), []).append(module.weight.grad.double().norm().item())
    net.eval()
    for handle in handles:
        handle.remove()
    assert set(norms) == set(expected) and len(norms) == 19 + 20, set(norms) ^ set(expected)
    for key, values in expected.items():
        near(f"norm of {key}", norms[key]["mean"], np.mean(values), 5e-3)
        # The difference of two batches' norms, each off by rounding.
        assert abs(norms[key]["std"] - np.std(values, ddof=1)) < 5e-3 * np.mean(values), key
    print("gradients: the norms at 19 outputs and 20 weights are PyTorch's")
    correlations(found, images, labels)


def normalised(x, normalization):
    if normalization == "none":
        return x
    return F.batch_norm(x, x.detach().mean((0, 2, 3)), x.detach().var((0, 2, 3), unbiased=False), training=False)


def between_blocks(x, residual, normalization, generator, blocks=3):
    """Scores of a freshly initialised net and the maps between its blocks; batch statistics are constants."""

    def convolution(x, outputs, stride=1):
        weight = torch.randn(outputs, x.shape[1], 3, 3, generator=generator) * (2 / (9 * x.shape[1])) ** 0.5
        return normalised(F.conv2d(x, weight, stride=stride, padding=1), normalization)

    maps = [F.relu(convolution(x, 16)).requires_grad_()]
    for width in (16, 32, 64):
        for _ in range(blocks):
            x = maps[-1]
            stride, added = width // x.shape[1], width - x.shape[1]
            y = convolution(F.relu(convolution(x, width, stride)), width)
            y = y + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, added // 2, added // 2)) if residual else y
            maps.append(F.relu(y))
    return maps[-1].mean((2, 3)) @ torch.randn(64, 10, generator=generator), maps


def correlations(found, images, labels):
    first = batches(images, labels)[0][0][: BATCH // 2]
    generator = torch.Generator().manual_seed(1)
    for network, residual in (("resnet-20", True), ("plain-20", False)):
        for normalization in ("batch", "none"):
            for distance in (0.1, 1.0):
                pairs = torch.cat([first, (1 - distance) * first + distance * first.roll(1, 0)])
                cosines = []
                for _ in range(3):
                    scores, maps = between_blocks(pairs, residual, normalization, generator)
                    halves = [gradient.flatten(1).double().chunk(2) for gradient in torch.autograd.grad(scores[:, 0].sum(), maps)]
                    cosines.append([F.cosine_similarity(one, other, 1, 0).nanmean().item() for one, other in halves])
                kind = {"network": network, "normalization": normalization, "quantity": "correlation", "distance": distance}
                ours = [row["mean"] for row in found["rows"] if all(row[key] == value for key, value in kind.items())]
                off = np.abs(np.array(ours) - np.mean(cosines, 0)).max()
                # Without normalisation draws differ more.
                bound = 0.15 if normalization == "batch" else 0.25
                assert len(ours) == 10 and off < bound, f"{kind}: {ours} and {np.mean(cosines, 0)}"
    print("gradients: correlations at initialisation are like those of PyTorch's draws")


def paths(net, images, labels):
    """The only path of no branch and of all branches, and the mean over all paths with one branch and with all but one."""
    rows = analyze("paths", "--split", "test", "--images", str(BATCH * BATCHES), "--paths", "40")["rows"]
    modules = [dict(net.named_modules())[name] for name in BLOCKS]
    net.train()

    def norms(branches):
        for index, module in enumerate(modules):
            module.back_by = "branch" if index in branches else "shortcut"
        found = []
        for batch, targets in batches(images, labels):
            maps = net.stem(batch).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(net.rest(maps), targets), maps)
            found.append(gradient.double().norm().item())
        return found

    every = set(range(9))
    assert [row["length"] for row in rows] == list(range(10))
    for length, branches in ((0, set()), (9, every)):
        near(f"norm of length {length}", rows[length]["norm"], np.mean(norms(branches)), 2e-3)
    for length, choices in ((1, [{one} for one in every]), (8, [every - {one} for one in every])):
        mean = np.mean([norms(branches) for branches in choices])
        error = rows[length]["std"] / rows[length]["samples"] ** 0.5
        assert abs(rows[length]["norm"] - mean) < 4 * error, f"length {length}: {rows[length]} instead of {mean}"
    net.eval()
    for module in modules:
        module.back_by = None
    shares = [row["paths_percent"] * row["norm"] for row in rows]
    for row, share in zip(rows, shares):
        near(f"share of length {row['length']}", row["gradient_percent"], share / sum(shares) * 100, 1e-9)
    print("paths: the gradients through none, one, all but one and all of 9 branches are PyTorch's")


def counted(net, images, labels):
    """Wrong images, those that rounding could decide (the two highest scores nearly equal), and the mean loss."""
    counts = [0, 0, 0.0]
    with torch.no_grad():
        for start in range(0, len(labels), 500):
            logits, wanted = net(images[start : start + 500]), labels[start : start + 500]
            best = logits.topk(2).values
            counts[0] += (logits.argmax(1) != wanted).sum().item()
            counts[1] += (best[:, 0] - best[:, 1] < 1e-3).sum().item()
            counts[2] += F.cross_entropy(logits.double(), wanted, reduction="sum").item()
    return counts[0], counts[1], counts[2] / len(labels)


def generalisation(net, images, labels):
    training = sorted(pathlib.Path(sys.argv[3]).glob("data_batch_*.bin"))
    if not training:
        print("generalisation: not checked, the data has no training images")
        return
    found = analyze("generalisation")
    rows = {row["split"]: row for row in found["rows"]}
    batches = [read(path) for path in training]
    splits = {"train": [torch.cat(parts) for parts in zip(*batches)], "test": (images, labels)}
    errors = {}
    for split, (images, labels) in splits.items():
        count, uncertain, loss = counted(net, images, labels)
        row = rows[split]
        assert row["images"] == len(labels), split
        assert abs(row["wrong"] - count) <= uncertain, f"{split}: {row['wrong']} wrong instead of {count}, {uncertain} are uncertain"
        near(f"loss of {split}", row["loss"], loss)
        errors[split] = 100 * row["wrong"] / row["images"]
        near(f"error of {split}", row["error"], errors[split])
        print(f"generalisation: {row['wrong']} of {len(labels)} {split} images wrong, PyTorch's {count}")
    near("gap", found["summary"]["gap"], errors["test"] - errors["train"])
    if len(labels) == 10_000:
        assert rows["test"]["wrong"] == 827, rows["test"]


def spread(images, labels, count):
    """So many images, evenly over all of them: the program's choice."""
    places = [index * len(labels) // count for index in range(count)]
    return images[places], labels[places]


def landscape(net, images, labels):
    images, labels = spread(images, labels, 100)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "directions.safetensors")
        options = ["--split", "test", "--images", "100", "--grid", "3", "--slices", "2", "--range", "0.5", "--directions", str(path)]
        rows = analyze("landscape", *options)["rows"]
        directions = load_file(path)
    assert len(rows) == 9 + 2 * 5
    own = {name: tensor.clone() for name, tensor in net.named_parameters()}
    for name, tensor in own.items():
        for axis in ("x", "y", "slice-0", "slice-1"):
            drawn = directions[f"{axis}.{name}"]
            assert drawn.shape == tensor.shape
            if tensor.dim() == 1:
                assert drawn.abs().max() == 0, name
            else:
                lengths = [part.flatten(1).double().norm(dim=1) for part in (drawn, tensor)]
                assert torch.allclose(*lengths, rtol=1e-5), name
    assert abs(torch.cat([directions[f"x.{name}"].flatten() for name in own]) @ torch.cat([directions[f"y.{name}"].flatten() for name in own])) > 0
    for row in rows:
        weights = dict(own)
        for name in own:
            if row["slice"] is None:
                weights[name] = own[name] + row["x"] * directions[f"x.{name}"] + row["y"] * directions[f"y.{name}"]
            else:
                weights[name] = own[name] + row["x"] * directions[f"slice-{row['slice']}.{name}"]
        with torch.no_grad():
            logits = torch.func.functional_call(net, weights, (images,))
        near(f"loss at {row}", row["loss"], F.cross_entropy(logits.double(), labels).item())
        # Of two scores that are nearly the same, rounding may make either the larger.
        assert abs(row["wrong"] - (logits.argmax(1) != labels).sum().item()) <= 1, row
    centre = rows[4]
    assert (centre["x"], centre["y"]) == (0, 0) and centre["wrong"] == wrong(net, images, labels)[0]
    print("landscape: losses at 19 points are PyTorch's, along directions with the filters' norms")


def curvature(net, images, labels):
    images, labels = spread(images, labels, 48)
    options = ["--split", "test", "--images", "48", "--eigenvalues", "2", "--steps", "30", "--probes", "2"]
    rows = {(row["quantity"], row["index"]): row for row in analyze("curvature", *options)["rows"]}
    parameters = list(net.parameters())

    def loss():
        return F.cross_entropy(net(images), labels)

    gradient = torch.autograd.grad(loss(), parameters, create_graph=True)
    near("loss", rows["loss", None]["value"], loss().item())
    near("gradient's norm", rows["gradient-norm", None]["value"], torch.cat([part.flatten() for part in gradient]).norm().item(), 1e-3)

    def product(vector):
        along = sum((part * direction).sum() for part, direction in zip(gradient, vector))
        return torch.autograd.grad(along, parameters, retain_graph=True)

    # Power iteration: another method than the program's.
    torch.manual_seed(0)
    vector = [torch.randn_like(part) for part in parameters]
    for _ in range(40):
        norm = torch.cat([part.flatten() for part in vector]).norm()
        vector = [part / norm for part in vector]
        found = product(vector)
        value = sum((part * other).sum() for part, other in zip(vector, found)).item()
        vector = found
    row = rows["eigenvalue", 1]
    assert abs(row["value"] - value) < max(2 * row["error"], 1e-2 * value), f"{row} instead of {value}"
    print(f"curvature: the largest eigenvalue, {row['value']:.4f}, is that of power iteration in PyTorch, {value:.4f}")


def main():
    weights = load_file(sys.argv[2])
    weights = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    images, labels = read(pathlib.Path(sys.argv[3], "test_batch.bin"))
    every = ["responses", "lesion", "gradients", "paths", "generalisation", "landscape", "curvature"]
    kinds = sys.argv[4].split(",") if len(sys.argv) > 4 else every
    for kind in kinds:
        # A net of its own: a batch in training mode moves the running means and variances.
        net = Net().eval()
        net.load_state_dict(weights, strict=False)
        globals()[kind](net, images, labels)


if __name__ == "__main__":
    main()
