"""One function a command: it reads as the list of its steps, and returns a report. To add a command: a file here,
and a function in `stackctl.py`.
"""
