#!/usr/bin/env python3
"""Makes the golden values that tests/golden.rs compares with: one training step of plain-8 and resnet-8, computed by PyTorch alone.

    python tests/golden/make_golden.py        # any Python with torch and safetensors; writes plain-8.safetensors, resnet-8.safetensors

The networks are written here from the paper (section 4.2), in the usual PyTorch way, and computed in float64, so that the values are
the truth to single precision. Images and initial parameters come from a small integer generator that the test has too.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

BATCH = 16
# The decay is a hundred times the paper's, so that an error in it is far above the test's tolerance.
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-2
# Updated again after a second step, which has momentum: one of each kind, to keep the files small.
AFTER_TWO_STEPS = ("conv1.weight", "bn1.weight", "bn1.bias", "layer3.0.conv1.weight", "layer3.0.bn2.weight", "fc.weight", "fc.bias")


class Numbers:
    """A linear congruential generator (Knuth's MMIX constants); uniform in [-0.5, 0.5) with 24 bits."""

    def __init__(self, seed):
        self.state = seed

    def draw(self, count):
        values = []
        for _ in range(count):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
            values.append((self.state >> 40) / 2**24 - 0.5)
        return torch.tensor(values, dtype=torch.float64)


class Block(nn.Module):
    def __init__(self, inputs, filters, stride, residual):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.residual, self.added = stride, residual, filters - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.residual:
            shortcut = x if self.stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))
            y = y + shortcut
        return F.relu(y)


class Net(nn.Module):
    def __init__(self, depth, residual):
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stage = lambda inputs, filters, stride: nn.Sequential(
            *[Block(inputs if i == 0 else filters, filters, stride if i == 0 else 1, residual) for i in range(blocks)]
        )
        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean(dim=(2, 3)))


def initialise(net):
    """The generator's numbers in the order of the parameters' names; scales are around 1."""
    numbers = Numbers(1)
    with torch.no_grad():
        for name, parameter in sorted(net.named_parameters()):
            values = numbers.draw(parameter.numel()).reshape(parameter.shape)
            is_scale = parameter.dim() == 1 and "bn" in name and name.endswith("weight")
            parameter.copy_((1 + values if is_scale else 0.3 * values).float())


def golden(residual):
    net = Net(8, residual).double()
    initialise(net)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
    images = Numbers(2).draw(BATCH * 3 * 32 * 32).reshape(BATCH, 3, 32, 32)
    labels = torch.arange(BATCH) % 10
    values = {}
    for step in (1, 2):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        values[f"loss.{step}"] = loss.detach().reshape(1)
        if step == 1:
            values |= {f"gradient.{name}": parameter.grad.clone() for name, parameter in net.named_parameters()}
        optimizer.step()
        if step == 1:
            values |= {f"updated.{name}": value.detach().clone() for name, value in net.state_dict().items() if "num_batches" not in name}
        else:
            values |= {f"updated_twice.{name}": net.state_dict()[name].detach().clone() for name in AFTER_TWO_STEPS}
    return {name: value.float().contiguous() for name, value in values.items()}


for residual in (False, True):
    path = Path(__file__).parent / f"{'resnet' if residual else 'plain'}-8.safetensors"
    save_file(golden(residual), path)
    print(path)
