"""quorumlab: a discrete-event simulator for distributed systems."""
