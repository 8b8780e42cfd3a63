#!/usr/bin/env python3
"""Makes the golden values that tests/nets/imagenet_golden.rs compares with: names and shapes of every ImageNet network's tensors, and class scores,
loss and gradients of narrow versions of them, computed by PyTorch alone in float64.

    python tests/golden/make_imagenet.py        # any Python with torch; writes imagenet.json beside itself

Images and parameters come from the small integer generator of make_golden.py, which the test has too. Of each gradient two numbers are
kept: its norm, and its product with numbers of the generator.
"""

import hashlib
import json
from pathlib import Path

import torch
import torch.nn.functional as F

from reference_nets import build, names_and_shapes

# Widths are divided so far; a test's images; larger ones, for the fully convolutional test.
DIVISOR, CLASSES, BATCH, SIDE, LARGER = 8, 10, 4, 64, (1, 256, 288)
AUXILIARY_WEIGHT = 0.3
LISTED = [
    *(f"plain-{depth}" for depth in (18, 34, 50, 101, 152)),
    *(f"resnet-{depth}{option}" for depth in (18, 34) for option in ("", "b", "c")),
    *(f"resnet-{depth}" for depth in (50, 101, 152)),
    *("resnet-50c", "resnet-50-v1.5", "plain-50-v1.5", "vgg-16", "vgg-19", "googlenet", "googlenet-aux", "highway-19", "highway-32"),
]
COMPUTED = (
    "plain-18 resnet-18 resnet-18b resnet-18c resnet-34 plain-50 resnet-50 resnet-50-v1.5 resnet-50c vgg-16 googlenet googlenet-aux highway-19"
).split()


class Numbers:
    """A linear congruential generator (Knuth's MMIX constants); uniform in [-0.5, 0.5) with 24 bits."""

    def __init__(self, seed):
        self.state = seed

    def draw(self, *shape):
        values = []
        for _ in range(torch.Size(shape).numel()):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
            values.append((self.state >> 40) / 2**24 - 0.5)
        return torch.tensor(values, dtype=torch.float64).reshape(shape)


def initialise(net):
    """Numbers in the order of the tensors' names: weights of variance 2 / fan-in; scales, variances, shifts and biases around 1; means around 0.

    Shifts around 0 would put so many values next to ReLU's edge that single precision cannot tell their side, in PyTorch neither: in 50 layers
    it then changes a gradient by several percent.
    """
    numbers = Numbers(1)
    with torch.no_grad():
        for name, tensor in sorted(net.state_dict().items()):
            if name.endswith("num_batches_tracked"):
                continue
            values = numbers.draw(*tensor.shape)
            if tensor.dim() > 1:
                values *= (24 / tensor[0].numel()) ** 0.5
            elif name.endswith(("weight", "running_var")):
                values += 1
            elif name.endswith("bias"):
                values = 1 + 0.3 * values
            else:
                values *= 0.3
            tensor.copy_(values.float())


def golden(name):
    net = build(name, DIVISOR, CLASSES).double()
    initialise(net)
    images, labels = 2 * Numbers(2).draw(BATCH, 3, SIDE, SIDE), torch.arange(BATCH)
    count, height, width = LARGER
    net.eval()
    with torch.no_grad():
        logits = net(images)
        larger = net(2 * Numbers(3).draw(count, 3, height, width))
    net.train()
    outputs = net(images)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    losses = [F.cross_entropy(scores, labels) for scores in outputs]
    (losses[0] + AUXILIARY_WEIGHT * sum(losses[1:])).backward()
    numbers = Numbers(4)
    gradients = {}
    for tensor, parameter in sorted(net.named_parameters()):
        gradients[tensor] = [parameter.grad.norm().item(), (parameter.grad * numbers.draw(*parameter.shape)).sum().item()]
    return {"logits": logits.flatten().tolist(), "larger": larger.flatten().tolist(), "loss": losses[0].item(), "gradients": gradients}


def listed(name):
    lines = names_and_shapes(build(name))
    return {"tensors": len(lines), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def rounded(value):
    """Nine digits: more than float32 has."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


if __name__ == "__main__":
    # One line a network.
    parts = {"names": {name: listed(name) for name in LISTED}, "computed": {name: rounded(golden(name)) for name in COMPUTED}}
    line = lambda entry: f"    {json.dumps(entry[0])}: {json.dumps(entry[1], separators=(',', ':'))}"
    body = ",\n".join(f'  "{part}": {{\n' + ",\n".join(map(line, entries.items())) + "\n  }" for part, entries in parts.items())
    path = Path(__file__).parent / "imagenet.json"
    path.write_text("{\n" + body + "\n}\n")
    print(path)
