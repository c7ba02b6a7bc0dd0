"""Name the labels by which what belongs to an instance is known on all engines on Docker."""

LABEL_INSTANCE = "stackctl.instance"
LABEL_STATE = "stackctl.state"
# The fingerprint of what a container was made from.
LABEL_DECLARATION = "stackctl.declaration"
# Of a container that has to end.
LABEL_ONCE = "stackctl.once"
