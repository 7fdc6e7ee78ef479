"""What callers of a cluster catch."""


class ClusterError(RuntimeError):
    """The cluster is not in the state that was asked for.

    The first line of the message is the reason; more lines, where there are any, are what the program logged.
    """


class SupervisorDownError(ConnectionError):
    """No supervisord answers at the control socket, or only one that ends."""
