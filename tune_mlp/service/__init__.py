"""The service: one place where studies are submitted, watched, stopped, compared and used, over HTTP."""
