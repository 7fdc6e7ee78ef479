"""The errors that callers of a cluster catch."""


class ClusterError(RuntimeError):
    """The cluster did not reach the state that was asked for.

    The first line of the message is the reason; further lines, if any, are from the program's log.
    """


class SupervisorDownError(ConnectionError):
    """No supervisord answers at the control socket, or it is ending."""
