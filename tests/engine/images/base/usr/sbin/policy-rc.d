#!/bin/sh
# A package that is being installed into an image starts no service.
exit 101
