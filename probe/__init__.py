"""The probe: measures what each deployment model costs and gives, from outside of it.

Pure Python. Only ``probe.engine`` knows Pulumi (its Automation API), everything else is handed what
it needs: a clock, a way to read ``/proc``, a gateway's address.
"""
