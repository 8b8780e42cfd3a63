"""Prints PyTorch eager's training throughput (images/s) for one network: NCHW, float32, batch 128, as a competent user writes it.

    python scripts/bench_pytorch.py resnet-20 30

scripts/bench-pytorch runs it in turn with this project's program. The augmentation is one gather a batch, the quickest way there is in
plain PyTorch; a DataLoader with torchvision's transforms would be slower.
"""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH, WARM_UP = 128, 5


class Block(nn.Module):
    def __init__(self, inputs, filters, stride, residual):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.residual, self.added = stride, residual, filters - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.residual:
            y = y + (x if self.stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2)))
        return F.relu(y, inplace=True)


class Net(nn.Module):
    def __init__(self, depth, residual):
        super().__init__()
        layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)], 16
        for filters, stride in ((16, 1), (32, 2), (64, 2)):
            for block in range((depth - 2) // 6):
                layers.append(Block(inputs, filters, stride if block == 0 else 1, residual))
                inputs = filters
        self.body, self.fc = nn.Sequential(*layers), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.body(x).mean(dim=(2, 3)))


def main():
    name, iterations = sys.argv[1], int(sys.argv[2])
    family, depth = name.split("-")
    net = Net(int(depth), family == "resnet").train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    images = torch.randint(0, 256, (10_000, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (10_000,))
    mean = F.pad(images.float().mean(dim=0) / 255, (4, 4, 4, 4))
    padded = F.pad(images, (4, 4, 4, 4))
    steps = torch.arange(32)
    losses, errors = [], []
    for iteration in range(WARM_UP + iterations):
        if iteration == WARM_UP:
            start = time.perf_counter()
        chosen = torch.randint(0, len(images), (BATCH,))
        rows = torch.randint(0, 9, (BATCH, 1)) + steps
        columns = torch.randint(0, 9, (BATCH, 1)) + steps
        columns = torch.where(torch.rand(BATCH, 1) < 0.5, columns.flip(1), columns)
        rows, columns = rows[:, None, :, None], columns[:, None, None, :]
        channels = torch.arange(3)[None, :, None, None]
        batch = padded[chosen[:, None, None, None], channels, rows, columns].float() / 255 - mean[channels, rows, columns]
        logits = net(batch)
        loss = F.cross_entropy(logits, labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        errors.append((logits.argmax(1) != labels[chosen]).sum())
    print(f"{BATCH * iterations / (time.perf_counter() - start):.1f}")


main()
