"""The guards around the web application: each is an ASGI application that lets a request through or refuses it."""
