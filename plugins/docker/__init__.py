"""Provider `docker`: the resource types of pulumi-docker 5.x that Triptych needs."""
