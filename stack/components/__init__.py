"""The kinds of component: each has a file here, or a folder, that holds all that is special about it.

To add one: a file or a folder beside this file, and its name and place in `stack/__init__.py`.
"""
