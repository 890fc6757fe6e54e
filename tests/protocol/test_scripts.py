"""The build embeds the scripts that these tests ran."""

import os
import subprocess

from harness import paths
from protocol import scripts

DUMP = r"""
#include <stdio.h>
#include "lua.c"

int main(void)
{
    for (const struct lua_source *source = lua_sources; source->name; source++)
        printf("%s%c%s%c", source->name, 0, source->text, 0);
}
"""


def test_build_and_tests_make_the_same_scripts(tmp_path):
    folder = os.path.normpath(scripts.FOLDER)
    files = sorted(os.path.join(folder, name + ".lua") for name in scripts.sources())
    embed = os.path.join(folder, "embed")
    subprocess.run([embed, tmp_path / "lua.c", tmp_path / "lua.h", *files], check=True, cwd=paths.REPOSITORY)
    (tmp_path / "dump.c").write_text(DUMP)
    subprocess.run(["gcc", "-o", tmp_path / "dump", tmp_path / "dump.c"], check=True)
    printed = subprocess.run([tmp_path / "dump"], check=True, capture_output=True).stdout.decode()
    parts = printed.split("\0")[:-1]
    assert dict(zip(parts[::2], parts[1::2])) == scripts.assemble(scripts.sources())


def test_all_scripts_but_commit_run_on_a_full_redis():
    for name, text in scripts.assemble(scripts.sources()).items():
        assert text.split("\n")[0] == ("#!lua" if name == "commit" else "#!lua flags=allow-oom"), name
