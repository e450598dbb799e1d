"""What can go wrong for reasons that the user can mend: one clear line each."""


class ProbeError(Exception):
    """An error whose text is the one line that the user reads; the exit code is ``exit_code``."""

    exit_code = 1


class UsageProblem(ProbeError):
    """Bad input on the command line (unknown model, experiment, stack)."""

    exit_code = 2


class StackNotUp(ProbeError):
    """The stack to measure has no outputs or does not answer."""


class DamagedResults(ProbeError):
    """A results folder that cannot be read as one."""
