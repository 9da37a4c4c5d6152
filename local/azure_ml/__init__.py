"""Azure Machine Learning on one machine: what the real azure-ai-ml client meets over HTTPS while the stack runs."""
