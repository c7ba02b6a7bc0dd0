"""The judgement at the end of `up`: ready, or the failure with its cause.

Ready means: every job is done, every other component runs, its health was found since it started, none changed between
two looks some time apart, each database accepted the declared password, and each published component answered a real
request, sent as a user would send it, and complained of nothing that it uses.

`probe` sends the requests, `judge` decides and does nothing else, `explain` words the errors, `watch` looks until it is
decided; `health` is the same judgement of each component for a command that looks once. `jobs` watches what ends, and
`done` tells which of it is done.
"""
