"""tune_mlp: from one YAML file to a defensible answer about a PyTorch MLP's hyperparameters."""

__version__ = "0.1.0"
