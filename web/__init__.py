"""The FastAPI application, the console and the composition root."""
