"""Begin a project: a stack file for the app in a folder, or for a first small one, and what it needs to run."""
