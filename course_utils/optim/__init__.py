"""Adam without its import of PyTorch's compiler, and the plan of all shared tasks."""
