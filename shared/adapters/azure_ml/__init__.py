"""Adapter: Azure ML, through azure-ai-ml and, for files, azure-storage-blob."""
