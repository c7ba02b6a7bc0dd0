"""Build images and push them to the registry, from which the nodes pull them by digest."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection

from stack.engines.docker import client, failures
from stack.engines.docker.builds import write_builds
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.docker.resolving import workload_of
from stack.engines.process import CommandJob, Job
from stack.engines.swarm import arguments, files, render
from stack.engines.swarm.deploying import Recorded
from stack.errors import StackError
from stack.instance import Instance

# The last lines of BuildKit: ` > pushing registry.example.com/team/shop-web with docker:`, a rule, and why.
_REFUSED = re.compile(r"^ > pushing (?P<image>\S+) with docker:\s*\n-+\n(?P<why>.+)", re.MULTILINE)


def start(instance: Instance, names: Collection[str]) -> Job:
    """Start to build and push the images of all or some components, by the daemon that the client asks."""
    write_builds(instance)
    command = arguments.build(files.write_builds(instance), instance.project, [*names])
    job = CommandJob(client.command(command), client.environment(), functools.partial(_explain, instance))
    return Recorded(job, functools.partial(_keep_digests, instance))


def _keep_digests(instance: Instance) -> None:
    """Note the digest that the registry gave to each image that was built."""
    found = {}
    for name in instance.stack.names:
        if instance.source(name) is not None and workload_of(instance, name).image_of is None:
            image = render.repository(instance, name)
            pushed = client.run(arguments.digests(image), READ_TIMEOUT).stdout.split()
            digests = [each for each in pushed if each.startswith(f"{image}@")]
            if digests:
                found[name] = digests[-1]
    files.keep_images(instance, found)


def _explain(instance: Instance, output: str) -> StackError:
    error = failures.classify(
        output,
        "build-failed",
        "an image could not be built and pushed",
        "fix what the lines above name, and run `stackctl up` again; what ran before still runs",
    )
    if (refused := _REFUSED.search(output)) is not None:
        return _refused(refused["image"], refused["why"].strip(), error.output)
    built = [name for name in instance.stack.names if instance.source(name) is not None]
    return failures.of_build(output, built, error)


def _refused(image: str, why: str, output: str) -> StackError:
    registry = image.partition("/")[0]
    return StackError(
        "registry-refused",
        f"the registry {registry} did not take the image {image}: {why}",
        f"try `docker login {registry}` and `docker push {image}`, or name another registry (Stack(…, registry=…) or "
        "STACKCTL_REGISTRY); what ran before still runs",
        output,
    )
