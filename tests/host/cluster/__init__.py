"""The test host: a real Kubernetes with one node, in a network and a mount namespace of its own on this machine."""
