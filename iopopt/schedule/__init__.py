"""What a plan really does: which device holds, needs and sends which region of every tensor. Needs no PyTorch."""
