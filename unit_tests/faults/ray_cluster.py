"""A Ray cluster of two machines on one, and what of it can be killed while a run is going on."""

import os
import random
from contextlib import contextmanager

import psutil

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}


class TwoMachines:
    """The cluster; every process of it descends from this one.

    Args:
        seed: Of the choice among several processes of a kind.
    """

    def __init__(self, seed):
        from ray.cluster_utils import Cluster

        self._chance = random.Random(seed)
        self._cluster = Cluster(initialize_head=True, head_node_args=NODE)
        self._second = self._cluster.add_node(**NODE)
        self.address = self._cluster.address

    def kill_session(self, run):
        """Kill the session of a worker, as the system does without memory; return whether there was one."""
        return self._kill_one(lambda command: any("cluster/start.py" in part for part in command))

    def kill_actor(self, run):
        """Kill an actor, the supervisor of a session; return whether there was one."""
        return self._kill_one(lambda command: command[0].startswith("ray::Supervisor"))

    def kill_machine(self, run):
        """Kill all of Ray on the second machine; another one takes its place."""
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = self._cluster.add_node(**NODE)
        return True

    def actors(self):
        """Return the actors that are there."""
        return list(self._of_kind(lambda command: command[0].startswith("ray::Supervisor")))

    def close(self):
        """End the cluster."""
        self._cluster.shutdown()

    def _of_kind(self, is_of_kind):
        for process in psutil.Process().children(recursive=True):
            try:
                command = process.cmdline()
            except psutil.NoSuchProcess:
                continue
            if command and is_of_kind(command):
                yield process

    def _kill_one(self, is_of_kind):
        found = list(self._of_kind(is_of_kind))
        if not found:
            return False
        try:
            self._chance.choice(found).kill()
        except psutil.NoSuchProcess:
            return False
        return True


@contextmanager
def two_machines(seed, folder):
    """Give a cluster whose workers write below *folder*, and nothing outside of this machine."""
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", TMPDIR=str(folder))
    found = TwoMachines(seed)
    try:
        yield found
    finally:
        found.close()
