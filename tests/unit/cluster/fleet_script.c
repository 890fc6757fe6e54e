/* The names of our scripts, apart from fleet.c: hiredis' header and ours have words in common. */
#include "base/mem.h"
#include "cluster/script.h"

struct span fleet_script_hash(struct span text);

struct span fleet_script_hash(struct span text)
{
    unsigned i = 0;

    while (i < SCRIPT_COUNT && !span_equal(script_text(i), text))
        i++;
    must(i < SCRIPT_COUNT);
    return script_hash(i);
}
