"""The paper's plain and residual nets for CIFAR-10 in PyTorch, with the parameter names of resnet-repro (torchvision's)."""

import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Two 3x3 layers; `shortcut` is None (a plain net), "a", "b" or "c" (the paper's options)."""

    def __init__(self, inputs, outputs, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.residual, self.stride, self.padding = shortcut is not None, stride, (outputs - inputs) // 2
        changes = stride != 1 or inputs != outputs
        self.downsample = None
        if shortcut == "c" or shortcut == "b" and changes:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def shortcut(self, x):
        if self.downsample is not None:
            return self.downsample(x)
        # Option A: every second pixel, and channels of zeros before and after.
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x) if self.residual else y)


class ResNet(nn.Module):
    """6n+2 layers for images of 32x32 pixels, [N, 3, 32, 32] to class scores [N, classes]."""

    def __init__(self, depth, shortcut, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for stage, width in enumerate((16, 32, 64)):
            blocks = []
            for block in range((depth - 2) // 6):
                blocks.append(Block(inputs, width, 2 if stage > 0 and block == 0 else 1, shortcut))
                inputs = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))
