"""One SRU layer, step by step in operations that PyTorch differentiates by itself.

Slower than the compiled kernels, and right wherever PyTorch has to look inside: for second
derivatives, in `torch.func`, with forward-mode gradients, and for `torch.export`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def layer(
    x: Tensor, initial: Tensor, alpha: float, highway: bool, batch_first: bool, *weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Output (N, T, directions * H) and last states (directions, N, H).

    The arguments are those of `layer._Layer.forward`: x (N, T, D), or (T, N, D) if not batch_first;
    initial (directions, N, H); for each direction weight (kH, D), v (2, H) and bias (2H).
    """
    steps = x.transpose(0, 1) if batch_first else x  # (T, N, D)
    H, outputs, last = initial.size(2), [], []
    for d, c in enumerate(initial.unbind()):
        weight, (v_f, v_r), bias = weights[3 * d], weights[3 * d + 1].unbind(), weights[3 * d + 2]
        candidate, to_f, to_r, *straight = torch.split(steps @ weight.t(), H, 2)
        carried = straight[0] if straight else steps
        to_f, to_r = to_f + bias[:H], to_r + bias[H:]
        states = []
        for t in reversed(range(len(steps))) if d else range(len(steps)):
            f, r = torch.sigmoid(to_f[t] + v_f * c), torch.sigmoid(to_r[t] + v_r * c)
            c = f * c + (1 - f) * candidate[t]
            states.append(r * c + (1 - r) * alpha * carried[t] if highway else r * c)
        outputs.append(torch.stack(states[::-1] if d else states))
        last.append(c)
    output = torch.cat(outputs, dim=2)
    return (output.transpose(0, 1) if batch_first else output), torch.stack(last)
