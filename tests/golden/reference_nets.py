"""The networks for ImageNet in the usual PyTorch way, of any width: what the Rust ones are compared with.

Written from the papers, with torchvision's names. scripts/export_torchvision.py shows that, at full width, each computes what torchvision's
model of that name computes, where torchvision has one.
"""

import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
FILTERS = (64, 128, 256, 512)


class Block(nn.Module):
    """A pair of 3×3 layers or a bottleneck; `option` is None (a plain net's), "A", "B" or "C"."""

    def __init__(self, inputs, filters, stride, option, bottleneck, stride_on_3x3):
        super().__init__()
        if bottleneck:
            strides = (1, stride, 1) if stride_on_3x3 else (stride, 1, 1)
            kernels, outputs = (1, 3, 1), (filters, filters, 4 * filters)
        else:
            kernels, outputs, strides = (3, 3), (filters, filters), (stride, 1)
        self.layers, self.option, self.stride = len(kernels), option, stride
        self.inputs, self.outputs = inputs, outputs[-1]
        for index, (kernel, after, step) in enumerate(zip(kernels, outputs, strides), 1):
            before = inputs if index == 1 else outputs[index - 2]
            setattr(self, f"conv{index}", nn.Conv2d(before, after, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{index}", nn.BatchNorm2d(after))
        if option == "C" or option == "B" and (stride != 1 or inputs != self.outputs):
            self.downsample = nn.Sequential(nn.Conv2d(inputs, self.outputs, 1, stride, bias=False), nn.BatchNorm2d(self.outputs))

    def shortcut(self, x):
        if hasattr(self, "downsample"):
            return self.downsample(x)
        added = self.outputs - self.inputs
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, added // 2, added - added // 2))

    def forward(self, x):
        y = x
        for index in range(1, self.layers + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y))
            y = F.relu(y) if index < self.layers else y
        return F.relu(y + self.shortcut(x) if self.option else y)


class Table1(nn.Module):
    """Plain and residual nets."""

    def __init__(self, depth, option, stride_on_3x3=False, divisor=1, classes=1000):
        super().__init__()
        bottleneck = depth >= 50
        channels = 64 // divisor
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels)
        for stage, (count, filters) in enumerate(zip(BLOCKS[depth], FILTERS), 1):
            blocks = []
            for position in range(count):
                stride = 2 if stage > 1 and position == 0 else 1
                blocks.append(Block(channels, filters // divisor, stride, option, bottleneck, stride_on_3x3))
                channels = blocks[-1].outputs
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


class Vgg(nn.Module):
    def __init__(self, depth, divisor=1, classes=1000):
        super().__init__()
        layers, channels = [], 3
        for stage, filters in enumerate((*FILTERS, 512)):
            for _ in range(2 if stage < 2 else 3 if depth == 16 else 4):
                layers += [nn.Conv2d(channels, filters // divisor, 3, 1, 1), nn.ReLU()]
                channels = filters // divisor
            layers.append(nn.MaxPool2d(2, 2))
        self.features, hidden = nn.Sequential(*layers), 4096 // divisor
        self.classifier = nn.ModuleDict({"0": nn.Linear(channels * 49, hidden), "3": nn.Linear(hidden, hidden), "6": nn.Linear(hidden, classes)})

    def forward(self, x):
        x = self.features(x)
        first, second, last = self.classifier["0"], self.classifier["3"], self.classifier["6"]
        if min(x.shape[2:]) < 7:
            x = F.adaptive_avg_pool2d(x, 7)
        # The fully connected layers at every position; class scores are averaged.
        kernel = lambda layer, side: layer.weight.reshape(layer.weight.shape[0], -1, side, side)
        x = F.relu(F.conv2d(x, kernel(first, 7), first.bias))
        x = F.relu(F.conv2d(x, kernel(second, 1), second.bias))
        return F.conv2d(x, kernel(last, 1), last.bias).mean(dim=(2, 3))


class Normalised(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    def __init__(self, inputs, a, reduce_b, b, reduce_c, c, d):
        super().__init__()
        self.branch1 = Normalised(inputs, a, 1)
        self.branch2 = nn.Sequential(Normalised(inputs, reduce_b, 1), Normalised(reduce_b, b, 3))
        self.branch3 = nn.Sequential(Normalised(inputs, reduce_c, 1), Normalised(reduce_c, c, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Normalised(inputs, d, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    def __init__(self, inputs, divisor, classes):
        super().__init__()
        filters, hidden = 128 // divisor, 1024 // divisor
        self.conv, self.fc1, self.fc2 = Normalised(inputs, filters, 1), nn.Linear(filters * 16, hidden), nn.Linear(hidden, classes)

    def forward(self, x):
        x = self.conv(F.adaptive_avg_pool2d(x, 4))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class GoogLeNet(nn.Module):
    """Without dropout. In training with auxiliary heads it returns (scores, scores of the second head, of the first), else scores."""

    MODULES = {
        "3a": (64, 96, 128, 16, 32, 32),
        "3b": (128, 128, 192, 32, 96, 64),
        "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64),
        "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128),
        "5a": (256, 160, 320, 32, 128, 128),
        "5b": (384, 192, 384, 48, 128, 128),
    }

    def __init__(self, auxiliary, divisor=1, classes=1000):
        super().__init__()
        self.auxiliary = auxiliary
        channels = 192 // divisor
        self.conv1 = Normalised(3, 64 // divisor, 7, 2)
        self.conv2 = Normalised(64 // divisor, 64 // divisor, 1)
        self.conv3 = Normalised(64 // divisor, channels, 3)
        for name, filters in self.MODULES.items():
            a, reduce_b, b, reduce_c, c, d = (count // divisor for count in filters)
            setattr(self, f"inception{name}", Inception(channels, a, reduce_b, b, reduce_c, c, d))
            channels = a + b + c + d
            if auxiliary and name in ("4a", "4d"):
                setattr(self, "aux1" if name == "4a" else "aux2", Auxiliary(channels, divisor, classes))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = self.conv3(self.conv2(x))
        heads = {}
        for name in self.MODULES:
            if name in ("3a", "4a"):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            if name == "5a":
                x = F.max_pool2d(x, 2, 2, ceil_mode=True)
            x = getattr(self, f"inception{name}")(x)
            if self.auxiliary and self.training and name in ("4a", "4d"):
                heads[name] = (self.aux1 if name == "4a" else self.aux2)(x)
        scores = self.fc(x.mean(dim=(2, 3)))
        return (scores, heads["4d"], heads["4a"]) if heads else scores


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


class Highway(nn.Module):
    """See src/network/architecture/highway.rs."""

    def __init__(self, depth, divisor=1, classes=1000):
        super().__init__()
        channels = 64 // divisor
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels)
        for stage, (count, filters) in enumerate(zip((4, 4, 5, 4) if depth == 19 else (6, 8, 12, 4), FILTERS), 1):
            layers = []
            for _ in range(count):
                layers.append(HighwayLayer(channels, filters // divisor))
                channels = filters // divisor
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer2(F.max_pool2d(self.layer1(x), 2))
        x = self.layer4(F.max_pool2d(self.layer3(F.max_pool2d(x, 2)), 2))
        return self.fc(x.mean(dim=(2, 3)))


def build(name, divisor=1, classes=1000):
    """The network that the program calls `name` on ImageNet."""
    sizes = {"divisor": divisor, "classes": classes}
    if name.startswith("googlenet"):
        return GoogLeNet(name.endswith("aux"), **sizes)
    kind, _, rest = name.partition("-")
    digits = rest.partition("-")[0].rstrip("abc")
    if kind == "vgg":
        return Vgg(int(digits), **sizes)
    if kind == "highway":
        return Highway(int(digits), **sizes)
    depth, letter = int(digits), rest.partition("-")[0][len(digits) :].upper()
    option = None if kind == "plain" else letter or ("B" if depth >= 50 else "A")
    return Table1(depth, option, rest.endswith("-v1.5"), **sizes)


def names_and_shapes(net):
    """Each tensor of a weight file as a line "name shape", sorted."""
    tensors = ((name, tensor) for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked"))
    return sorted(f"{name} {','.join(str(side) for side in tensor.shape)}" for name, tensor in tensors)
