#!/bin/sh
# Plants one violation after the other in a small tree and looks whether rules.sh finds it. Ends with "N ok, M wrong".
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
ok=0
failed=0

fresh() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/lib/base" "$tree/lib/mail" "$tree/lib/io" "$tree/lib/cluster" "$tree/ingress" "$tree/courier" "$tree/tests/cluster" "$tree/tests/unit/base"
    printf '/*\n * Does: nothing.\n */\n#pragma once\n\nint thing_do(void);\n' >"$tree/lib/base/thing.h"
    printf '/* A thing. */\n#include "base/thing.h"\n\n#include <stdio.h>\n\nint thing_do(void)\n{\n    return 0;\n}\n' >"$tree/lib/base/thing.c"
}

# The text $2 appended to file $1 must be found with a message that has $3.
must_find() {
    fresh
    [ -e "$tree/$1" ] || case $1 in
        *.h) printf '/*\n * Does: nothing.\n */\n#pragma once\n' >"$tree/$1" ;;
        *.py) : >"$tree/$1" ;;
        *) printf '/* A file. */\n' >"$tree/$1" ;;
    esac
    printf '%b\n' "$2" >>"$tree/$1"
    if output=$(sh "$here/rules.sh" "$tree" 2>&1); then
        echo "not found: $1: $2"
        failed=$((failed + 1))
    elif ! printf '%s' "$output" | grep -q "^$1:[0-9]*: .*$3"; then
        echo "found as something else: $1: $(printf %.60s "$2"): $output"
        failed=$((failed + 1))
    else
        ok=$((ok + 1))
    fi
}

# The text $2 in file $1 breaks no rule.
must_pass() {
    fresh
    printf '/* A file. */\n%b\n' "$2" >"$tree/$1"
    if output=$(sh "$here/rules.sh" "$tree" 2>&1); then
        ok=$((ok + 1))
    else
        echo "refused: $1: $(printf %.60s "$2"): $output"
        failed=$((failed + 1))
    fi
}

lines() {
    i=0
    while [ "$i" -lt "$1" ]; do
        printf '    thing_do();\\n'
        i=$((i + 1))
    done
}

must_pass lib/base/other.c 'int x;'
must_find lib/base/other.c '#include "mail/addr.h"' 'may not include'
must_find lib/mail/other.c '#include "io/loop.h"' 'may not include'
must_find lib/io/other.c '#include "cluster/queue.h"' 'may not include'
must_find lib/io/other.c '#include "mail/header.h"' 'may not include'
must_find lib/cluster/other.c '#include "courier/job.h"' 'may not include'
must_find ingress/other.c '#include "courier/job.h"' 'may not include'
must_find ingress/smtp_server.c '#include "io/stream.h"' 'an engine'
must_find courier/smtp_client.c '#include "cluster/queue.h"' 'an engine'
must_find courier/smtp_client.c '#include "courier/job.h"' 'an engine'
must_pass courier/smtp_client.c '#include "courier/smtp_client.h"'
must_find ingress/other.c '#include "other.h"' 'names its folder'
must_find lib/io/other.c '#include <uv.h>' 'named elsewhere'
must_pass lib/io/loop.c '#include <uv.h>'
must_find lib/io/loop.h '#include <uv.h>' 'named elsewhere'
must_find courier/job.c '#include <openssl/ssl.h>' 'named elsewhere'
fresh
for name in dns dns_channel; do printf '/* A file. */\n#include <ares.h>\n' >"$tree/lib/io/$name.c"; done
if sh "$here/rules.sh" "$tree" | grep -q 'dns_channel.c:2: .*named in lib/io/dns.c already'; then ok=$((ok + 1)); else failed=$((failed + 1)) && echo 'not found: a library named twice'; fi
must_find lib/io/other.c '#include <leveldb/c.h>' 'no header of libc'
must_find courier/job.c '#include "proto/mail.pb-c.h"' 'generated protobuf'
must_pass lib/cluster/wire.c '#include "proto/mail.pb-c.h"'
must_find courier/job.c 'int f(void)\n{\n    char *p = malloc(5);\n}' 'memory comes'
must_find courier/job.c 'int f(void)\n{\n    free(p);\n}' 'memory comes'
must_pass courier/job.c 'int f(void)\n{\n    free(p); /* rule: the library made it */\n}'
must_pass courier/job.c 'int f(void)\n{\n    /* rule: the library made it */\n    free(p);\n}'
must_find courier/job.c 'int f(void)\n{\n    /* rule: the library made it */\n    free(p);\n    free(q);\n}' 'free(q)'
must_pass courier/job.c 'int f(void)\n{\n    list->free(p);\n    mem_free(p);\n}'
must_pass courier/job.c '/* it says system("x") and malloc(5),\n   and sleep(1) */\nstatic const char *t = "free(p)";'
must_find courier/job.c 'int f(void)\n{\n    system("x");\n}' 'no other program'
must_find courier/job.c 'int f(void)\n{\n    if (execve(a, b, c))\n        return;\n}' 'no other program'
must_find tests/unit/base/test_thing.c 'int f(void)\n{\n    usleep(5);\n}' 'a sleep'
must_find tests/cluster/test_thing.py 'time.sleep(1)' 'a sleep'
must_find courier/job.c 'int f(void)\n{\n    return rand();\n}' 'getrandom'
must_find courier/job.c 'int f(void)\n{\n    return atoi(s);\n}' 'span_number'
must_find courier/job.c 'typedef struct job job;' 'no typedefs'
must_find courier/job.c '\tint x;' 'a tab'
must_find courier/job.c '/* TODO */' 'unfinished'
must_find courier/job.c 'int f(void)\n{\n    (void) close(5);\n}' 'ignored result'
must_pass courier/job.c 'int f(void)\n{\n    (void) close(5); /* only read */\n}'
must_pass courier/job.c 'int f(void)\n{\n    /* Only read. */\n    (void) close(5);\n}'
must_find lib/io/other.c 'int f(void)\n{\n    log_event(LOG_ACCEPTED);\n}' 'logs nothing'
must_find courier/job.c "int f(void)\n{\n$(lines 81)}" 'a function of 81'
must_pass courier/job.c "int f(void)\n{\n$(lines 80)}"
must_find courier/job.c "$(lines 500)" 'a file of 502'
must_find courier/job.h "$(lines 200)" 'a header of 205'
fresh
printf 'int x;\n' >"$tree/courier/job.c"
if sh "$here/rules.sh" "$tree" >/dev/null; then failed=$((failed + 1)) && echo 'not found: no comment at the top'; else ok=$((ok + 1)); fi
fresh
printf '/*\n * A header.\n */\nint x;\n' >"$tree/courier/job.h"
if [ "$(sh "$here/rules.sh" "$tree" | grep -c 'contract\|pragma')" = 2 ]; then ok=$((ok + 1)); else failed=$((failed + 1)) && echo 'not found: no contract, no pragma once'; fi

# What banned.h forbids does not compile, and its neighbours do.
compiles() {
    printf 'void f(void);\nvoid f(void)\n{\n    char a[9];\n    %s;\n    (void) a;\n}\n' "$1" |
        "${CC:-gcc}" -D_GNU_SOURCE -w -include "$here/../../lib/base/banned.h" -fsyntax-only -x c - 2>/dev/null
}
for call in 'strcpy(a, "x")' 'strcat(a, "x")' 'sprintf(a, "x")' 'strtok(a, "x")' 'gmtime(0)' 'localtime(0)' 'vsprintf(a, "", 0)'; do
    if compiles "$call"; then echo "it compiles: $call" && failed=$((failed + 1)); else ok=$((ok + 1)); fi
done
if compiles 'snprintf(a, 9, "x"); struct tm t; time_t n = 0; gmtime_r(&n, &t)'; then ok=$((ok + 1)); else echo 'snprintf does not compile' && failed=$((failed + 1)); fi

echo "$ok ok, $failed wrong"
[ "$failed" = 0 ]
