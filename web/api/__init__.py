"""The routes under /v1: they read the request, call a service, and write the answer."""
