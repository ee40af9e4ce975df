"""Adam without its import of PyTorch's compiler, and the plan by which a rate rises and falls."""
