"""Training and distillation of a model, and what a checkpoint of it holds."""
