#!/usr/bin/env python3
"""Makes the golden values that tests/nets/golden.rs compares with: one training step of plain-8, resnet-8 (options A, B, C), highway-19
and of preact-resnet-8 and preact-resnet-11 at half their widths, computed by PyTorch alone.

    python tests/golden/make_golden.py        # any Python with torch and safetensors; writes <network>.safetensors beside itself; or
    python tests/golden/make_golden.py NETWORK ...

The networks are written here from the papers (section 4.2; He et al. 2016), in the usual PyTorch way, and computed in float64, so that the values are
the truth to single precision. Images and initial parameters come from a small integer generator that the test has too.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

BATCH = 16
# A highway net has so many activations that with more images one lies close enough to zero for its sign to depend on rounding.
HIGHWAY_BATCH = 2
# The decay is a hundred times the paper's, so that an error in it is far above the test's tolerance.
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-2
# Of the filters of pre-activation nets, to keep the files small.
DIVISOR = 2
# Updated again after a second step, which has momentum: one of each kind, to keep the files small.
AFTER_TWO_STEPS = ("conv1.weight", "bn1.weight", "bn1.bias", "layer3.0.conv1.weight", "layer3.0.bn2.weight", "bn.weight", "fc.weight", "fc.bias")


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
    def __init__(self, inputs, filters, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.option, self.added = stride, option, filters - inputs
        if option == "C" or option == "B" and stride == 2:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def shortcut(self, x):
        if hasattr(self, "downsample"):
            return self.downsample(x)
        return x if self.stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x) if self.option else y)


class Net(nn.Module):
    def __init__(self, depth, option):
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stage = lambda inputs, filters, stride: nn.Sequential(
            *[Block(inputs if i == 0 else filters, filters, stride if i == 0 else 1, option) for i in range(blocks)]
        )
        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean(dim=(2, 3)))


class PreActivationBlock(nn.Module):
    """He et al. 2016, Figure 1b, with two 3x3 layers or three of a bottleneck. The first block of a stage shares its first activation
    with the shortcut (the paper's appendix; resnet-pre-act.lua of its authors)."""

    def __init__(self, inputs, filters, stride, bottleneck, first):
        super().__init__()
        outputs = 4 * filters if bottleneck else filters
        layers = [(1, filters, stride), (3, filters, 1), (1, outputs, 1)] if bottleneck else [(3, filters, stride), (3, filters, 1)]
        channels, self.count = inputs, len(layers)
        for index, (kernel, width, step) in enumerate(layers, 1):
            self.add_module(f"bn{index}", nn.BatchNorm2d(channels))
            self.add_module(f"conv{index}", nn.Conv2d(channels, width, kernel, step, kernel // 2, bias=False))
            channels = width
        self.first, self.stride, self.added = first, stride, outputs - inputs
        if bottleneck and (self.added or stride == 2):
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def shortcut(self, x):
        if hasattr(self, "downsample"):
            return self.downsample(x)
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))

    def forward(self, x):
        activated = F.relu(self.bn1(x))
        y = self.conv1(activated)
        for index in range(2, self.count + 1):
            y = self.get_submodule(f"conv{index}")(F.relu(self.get_submodule(f"bn{index}")(y)))
        return y + self.shortcut(activated if self.first else x)


class PreActivationNet(nn.Module):
    """6n+2 layers in blocks of two, or 9n+2 in bottlenecks."""

    def __init__(self, depth, bottleneck):
        super().__init__()
        blocks = (depth - 2) // (9 if bottleneck else 6)
        expansion = 4 if bottleneck else 1
        channels = 16 // DIVISOR
        self.conv1 = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
        for stage, (width, stride) in enumerate(((16, 1), (32, 2), (64, 2)), 1):
            filters, layer = width // DIVISOR, nn.Sequential()
            for index in range(blocks):
                layer.append(PreActivationBlock(channels, filters, stride if index == 0 else 1, bottleneck, index == 0))
                channels = expansion * filters
            self.add_module(f"layer{stage}", layer)
        self.bn, self.fc = nn.BatchNorm2d(channels), nn.Linear(channels, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(F.relu(self.bn(x)).mean(dim=(2, 3)))


class HighwayLayer(nn.Module):
    def __init__(self, inputs, filters):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(inputs, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters)
        self.gate = nn.Conv2d(inputs, filters, 3, 1, 1) if inputs == filters else None

    def forward(self, x):
        h = F.relu(self.bn(self.conv(x)))
        if self.gate is None:
            return h
        t = torch.sigmoid(self.gate(x))
        return h * t + x * (1 - t)


class Highway19(nn.Module):
    """FitNet-4's widths with highway layers: see src/network/architecture/highway.rs."""

    def __init__(self):
        super().__init__()
        widths = [(3, 3, 32), (2, 32, 48), (6, 48, 80), (6, 80, 128)]
        stage = lambda layers, inputs, filters: nn.Sequential(*[HighwayLayer(inputs if i == 0 else filters, filters) for i in range(layers)])
        self.layer1, self.layer2, self.layer3, self.layer4 = (stage(*width) for width in widths)
        self.fc1, self.fc = nn.Linear(128, 500), nn.Linear(500, 10)

    def forward(self, x):
        x = self.layer2(F.max_pool2d(self.layer1(x), 2))
        x = self.layer4(F.max_pool2d(self.layer3(F.max_pool2d(x, 2)), 2))
        return self.fc(F.relu(self.fc1(x.mean(dim=(2, 3)))))


def is_scale(net, name):
    module = net.get_submodule(name.rpartition(".")[0])
    return isinstance(module, nn.BatchNorm2d) and name.endswith("weight")


def initialise(net):
    """The generator's numbers in the order of the parameters' names; scales are around 1. Wide gates would saturate at 0.3."""
    numbers = Numbers(1)
    size = 0.05 if isinstance(net, Highway19) else 0.3
    with torch.no_grad():
        for name, parameter in sorted(net.named_parameters()):
            values = numbers.draw(parameter.numel()).reshape(parameter.shape)
            parameter.copy_((1 + values if is_scale(net, name) else size * values).float())


def golden(net, keep):
    """Loss, gradients and updates of two steps; of the gradients and updates those whose tensor `keep` names."""
    batch = HIGHWAY_BATCH if isinstance(net, Highway19) else BATCH
    net = net.double()
    initialise(net)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
    images = Numbers(2).draw(batch * 3 * 32 * 32).reshape(batch, 3, 32, 32)
    labels = torch.arange(batch) % 10
    values = {}
    for step in (1, 2):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        values[f"loss.{step}"] = loss.detach().reshape(1)
        if step == 1:
            values |= {f"gradient.{name}": parameter.grad.clone() for name, parameter in net.named_parameters() if keep(name)}
        optimizer.step()
        if step == 1:
            values |= {f"updated.{name}": value.detach().clone() for name, value in net.state_dict().items() if "num_batches" not in name and keep(name)}
        else:
            values |= {f"updated_twice.{name}": net.state_dict()[name].detach().clone() for name in AFTER_TWO_STEPS if name in net.state_dict()}
    return {name: value.float().contiguous() for name, value in values.items()}


# Of the nets that share most of their code with the first two, what is their own, and the small tensors.
own = lambda name: "downsample" in name or name.count("weight") == 0 or "bn" in name
networks = {
    "plain-8": (Net(8, None), lambda name: True),
    "resnet-8": (Net(8, "A"), lambda name: True),
    "resnet-8b": (Net(8, "B"), own),
    "resnet-8c": (Net(8, "C"), own),
    "preact-resnet-8": (PreActivationNet(8, False), lambda name: True),
    "preact-resnet-11": (PreActivationNet(11, True), lambda name: True),
    "highway-19": (Highway19(), lambda name: own(name) or name in ("layer1.1.gate.weight", "layer2.1.conv.weight", "layer2.1.gate.weight")),
}
only = sys.argv[1:]
for name, (net, keep) in networks.items():
    if only and name not in only:
        continue
    path = Path(__file__).parent / f"{name}.safetensors"
    save_file(golden(net, keep), path)
    print(path)
