#!/usr/bin/env python3
"""Makes the golden values that src/analysis/tests.rs compares with: the whole Hessian's eigenvalues, its trace, a product with a vector, and points
of a loss landscape, of resnet-8 and plain-8 with 1, 2 and 4 filters on images of 8×8, computed by PyTorch alone in float64.

    python tests/golden/make_hessian.py       # any Python with torch and safetensors; writes hessian-<network>.safetensors beside itself

The Hessian is that of the mean cross-entropy in evaluation mode, by every parameter. The file holds the parameters and running statistics, which float32
has exactly, under torchvision's names; `images` and `labels`; `vector.*` and `product.*`; `eigenvalues`, the largest first; `loss` and
`gradient_norm`; two random directions `raw-x.*`, `raw-y.*`, the same with every filter as long as the net's and with zeros for what has one dimension,
`x.*`, `y.*`; and `points`: x, y, mean loss and images classified wrongly.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.func import functional_call

IMAGES, SIDE, CLASSES = 12, 8, 10
WIDTHS = (1, 2, 4)
POINTS = [(0.0, 0.0), (1.0, 0.0), (0.0, -0.5), (0.7, 0.9), (-1.0, 1.0), (0.05, -0.02)]


class Block(torch.nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(filters)
        self.conv2 = torch.nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(filters)
        self.stride, self.added = stride, filters - inputs

    def shortcut(self, x):
        """Of option A."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))


class Net(torch.nn.Module):
    """One block a stage."""

    def __init__(self, residual):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(WIDTHS[0])
        for stage, (inputs, filters) in enumerate(zip((WIDTHS[0],) + WIDTHS, WIDTHS)):
            block = Block(inputs, filters, 1 + (stage > 0))
            setattr(self, f"layer{stage + 1}", torch.nn.Sequential(block))
        self.residual = residual
        self.fc = torch.nn.Linear(WIDTHS[-1], CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in (self.layer1, self.layer2, self.layer3):
            block = stage[0]
            branch = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
            x = F.relu(branch + block.shortcut(x) if self.residual else branch)
        return self.fc(x.mean((2, 3)))


def make(network, residual, seed):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator).double()

    net = Net(residual).double().eval()
    for name, tensor in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.dim() > 1:
            values = normal(*tensor.shape) * math.sqrt(2 / tensor[0].numel())
        elif name.endswith("running_var") or "bn" in name and name.endswith("weight"):
            values = 1 + 0.3 * normal(*tensor.shape).abs()
        else:
            values = 0.2 * normal(*tensor.shape)
        tensor.copy_(values.float().double())
    images, labels = normal(IMAGES, 3, SIDE, SIDE), torch.randint(CLASSES, (IMAGES,), generator=generator)

    parameters = {name: tensor.detach() for name, tensor in net.named_parameters()}
    names, counts = list(parameters), [tensor.numel() for tensor in parameters.values()]
    flat = torch.cat([tensor.reshape(-1) for tensor in parameters.values()])

    def named(vector):
        return {name: part.view(parameters[name].shape) for name, part in zip(names, vector.split(counts))}

    def loss(vector):
        return F.cross_entropy(functional_call(net, named(vector), (images,)), labels)

    hessian = torch.autograd.functional.hessian(loss, flat)
    assert (hessian - hessian.T).abs().max() < 1e-12
    vector = normal(len(flat))
    file = {"images": images, "labels": labels.double()}
    file |= {name: tensor for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    file["eigenvalues"] = torch.linalg.eigvalsh(hessian).flip(0)
    file["loss"] = loss(flat).reshape(1)
    file["gradient_norm"] = torch.autograd.functional.jacobian(loss, flat).norm().reshape(1)
    file |= {f"vector.{name}": part for name, part in named(vector).items()}
    file |= {f"product.{name}": part for name, part in named(hessian @ vector).items()}

    axes = []
    for axis in "xy":
        direction = named(normal(len(flat)))
        file |= {f"raw-{axis}.{name}": part for name, part in direction.items()}
        for name, part in direction.items():
            for row, own in zip(part, parameters[name]):
                row.mul_(0.0 if part.dim() == 1 else own.norm() / row.norm())
        file |= {f"{axis}.{name}": part.clone() for name, part in direction.items()}
        axes.append(torch.cat([part.reshape(-1) for part in direction.values()]))
    rows = []
    for x, y in POINTS:
        moved = flat + x * axes[0] + y * axes[1]
        wrong = (functional_call(net, named(moved), (images,)).argmax(1) != labels).sum()
        rows.append([x, y, loss(moved).item(), wrong.item()])
    file["points"] = torch.tensor(rows, dtype=torch.float64)
    path = Path(__file__).with_name(f"hessian-{network}.safetensors")
    save_file({name: tensor.contiguous().clone() for name, tensor in file.items()}, path)
    values = file["eigenvalues"]
    print(f"{path.name}: {len(flat)} parameters, eigenvalues {values[:5].tolist()} … {values[-1].item()}, trace {values.sum().item()}, points {rows}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    make("resnet-8", True, 0)
    make("plain-8", False, 1)
