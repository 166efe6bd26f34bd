"""Does the C library keep what it was told to keep?"""

import subprocess
import sys

FAULTS = """
import resource, sys
from middleplatform.access.system import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def lists():
    made = [b"x" * (size << 20) for size in (3, 3, 2, 6, 3)]
    del made
lists(), lists()
before = faults()
for _ in range(20):
    lists()
print(faults() - before)
"""


def faults(how):
    ran = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


def test_freed_memory_is_used_again_without_new_pages():
    pages = 20 * (17 << 20) // 4096
    assert faults("as it is") > pages // 2
    assert faults("kept") < pages // 10
