"""Adam, without the marks for PyTorch's compiler on its methods.

They import the compiler, which takes 2 seconds and 70 MB, and the course does not use it.
"""

import torch


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, whose methods are not marked for PyTorch's compiler."""


for _name in ("add_param_group", "zero_grad", "step"):
    _marked = getattr(torch.optim.Adam, _name)
    _plain = getattr(_marked, "__wrapped__", _marked)
    setattr(Adam, _name, torch.no_grad()(_plain) if _name == "step" else _plain)
