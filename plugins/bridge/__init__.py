"""What the provider plugins share: Pulumi's gRPC protocol, spoken once for all resource types.

A plugin is a `Provider` with one `Resource` class per type, started by `serve(provider)`:

    class Volume(Resource[DaemonProvider]):
        token = "docker:index/volume:Volume"
        inputs: ClassVar[Schema] = {
            "name": string(computed=True, force_new=True),
            "driverOpts": map_of(string(), force_new=True),
        }
        outputs: ClassVar[Schema] = {"mountpoint": string()}  # set by the provider only

        def create(self, op, inputs): ...    # -> Created(id, state)
        def read(self, op, id, state): ...   # -> state, or None when the object is gone
        def update(self, op, id, state, inputs): ...  # -> new state
        def delete(self, op, id, state): ... # success when the object is gone already

- Values are plain Python (`None`, `bool`, `int`, `float`, `str`, `list`, `dict`) under Pulumi's
  camelCase names. Secrets are unwrapped on the way in; the engine marks outputs again by name.
  Wrap an output in `Secret` to mark it from the provider's side. `UNKNOWN` stands for a value
  that is not known during a preview; create, read, update and delete never see one.
- `check` (types, required, unsupported names, defaults, auto-naming) and `diff` (new inputs
  against the state of the object, as Terraform-based providers do) come from the schema, see
  `schema.py`. Override `Resource.check` / `Resource.adjust_diff` for what a schema can't say.
- Raise `UserError("one clear line")` for anything that the user can act on, `InitFailed` when the
  object exists but did not become what was asked for (it is then kept in the state).
- `op` (`Operation`) carries the URN, `op.cancelled` (an Event to honour in every wait), `op.warn`,
  `op.status` and the journal.
- The journal (`journal.py`) lets the next `up` go on after `kill -9`: call `op.begin(name)` before
  an object is made, `entry.record(id)` as soon as its id is known, and ask `op.left_over(name)`
  when an object of that name is found: an entry proves that a killed run of this stack made it.
"""

from plugins.bridge.errors import CheckFailure, InitFailed, UserError
from plugins.bridge.journal import Entry, Journal
from plugins.bridge.resource import Change, Created, Operation, Provider, Resource
from plugins.bridge.schema import (
    Kind,
    Prop,
    Schema,
    boolean,
    integer,
    list_of,
    map_of,
    number,
    object_of,
    set_of,
    string,
)
from plugins.bridge.server import serve
from plugins.bridge.values import UNKNOWN, Secret, Unknown

__all__ = [
    "UNKNOWN",
    "Change",
    "CheckFailure",
    "Created",
    "Entry",
    "InitFailed",
    "Journal",
    "Kind",
    "Operation",
    "Prop",
    "Provider",
    "Resource",
    "Schema",
    "Secret",
    "Unknown",
    "UserError",
    "boolean",
    "integer",
    "list_of",
    "map_of",
    "number",
    "object_of",
    "serve",
    "set_of",
    "string",
]
