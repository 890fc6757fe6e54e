#!/bin/sh
# Checks what docs and reviewers would otherwise have to: who includes whom, one file per library, banned calls, sizes, the head of each file.
# rules.sh [directory]. Prints file:line: what is wrong; exit 1 when something is. Warnings do not fail.
# A line that must break a rule says why beside or above it: /* rule: reason */. Includes know no exception.
set -eu
cd "${1:-$(dirname "$0")/../..}"

files=$(find lib ingress dispatcher courier ctl tests -type f \( -name '*.c' -o -name '*.h' \) 2>/dev/null | LC_ALL=C sort)
scripts=$(find tests -type f -name '*.py' 2>/dev/null | LC_ALL=C sort)
[ -n "$files" ] || { echo "rules: no sources here"; exit 1; }

# shellcheck disable=SC2086 # lists of names without spaces
LC_ALL=C awk '
function wrong_at(place, line, what) { printf "%s:%d: %s\n", place, line, what; count++ }
function wrong(what) { wrong_at(FILENAME, FNR, what) }
function warn(what) { printf "%s:%d: warning: %s\n", FILENAME, FNR, what }

# ---- includes
BEGIN {
    split("aio alloca arpa/inet assert ctype dirent elf endian errno execinfo fcntl float getopt ifaddrs inttypes limits linux/filter linux/sockios " \
          "locale math net/if netdb netinet/in netinet/ip netinet/tcp poll pthread pwd grp regex sched setjmp signal stdalign stdarg stdatomic " \
          "stdbool stddef stdint stdio stdlib stdnoreturn string strings sys/epoll sys/eventfd sys/file sys/ioctl sys/mman sys/param sys/prctl " \
          "sys/random sys/resource sys/select sys/socket sys/stat sys/statvfs sys/syscall sys/time sys/timerfd sys/types sys/uio sys/un " \
          "sys/utsname sys/wait sysexits syslog termios threads time uchar unistd wchar", words, " ")
    for (i in words) libc[words[i] ".h"] = 1
    # Third-party headers, and the one place that may name them.
    owner["uv.h"] = "^lib/io/loop\\.c$"
    owner["openssl/"] = "^lib/io/(tls(_[a-z]+)?|crypto)\\.c$" # libssl in tls*.c, libcrypto in crypto.c
    owner["ares"] = "^lib/io/dns(_[a-z]+)?\\.c$"
    owner["hiredis/"] = "^lib/io/redis(_[a-z]+)?\\.c$"
    owner["zmq"] = "^lib/io/bus(_[a-z]+)?\\.[ch]$"
    owner["microhttpd.h"] = "^lib/io/http_server\\.c$"
    owner["curl/"] = "^lib/io/http_client\\.c$"
    owner["yaml.h"] = "^lib/io/yaml\\.c$"
    owner["jansson.h"] = "^lib/io/json\\.c$"
    owner["idn2.h"] = "^lib/io/idn\\.c$"
    owner["xxhash.h"] = "^lib/io/hash\\.c$"
    owner["zstd.h"] = "^lib/io/zstd\\.c$"
    owner["zlib.h"] = "^lib/io/gzip\\.c$"
    owner["protobuf-c/"] = "^lib/cluster/wire(_[a-z]+)?\\.[ch]$"
    # Layers, by folder: what a file there may name in quotes.
    may["lib/base"] = "^base/"
    may["lib/mail"] = "^(base|mail)/"
    may["lib/io"] = "^(base/|io/|mail/addr\\.h$)" # addresses as values
    may["lib/cluster"] = "^(base|mail|io|cluster)/"
    may["ingress"] = "^(base|mail|io|cluster|ingress)/"
    may["dispatcher"] = "^(base|mail|io|cluster|dispatcher)/"
    may["courier"] = "^(base|mail|io|cluster|courier)/"
    may["ctl"] = "^(base|mail|io|cluster|ctl)/"
}
function folder_of(file, parts, n) {
    n = split(file, parts, "/")
    return parts[1] == "lib" ? parts[1] "/" parts[2] : parts[1]
}
function check_quoted(name) {
    if (name ~ /\.pb-c\.h$/) {
        if (FILENAME !~ /^lib\/cluster\/wire(_[a-z]+)?\.[ch]$/) wrong("only lib/cluster/wire*.c sees generated protobuf")
        return
    }
    if (name == "lua.h" && FILENAME == "lib/cluster/script.c") return
    if (name !~ /\//) { wrong("an include names its folder: \"" name "\""); return }
    if (is_engine && name !~ (FILENAME ~ /^ingress/ ? "^(base/|mail/|ingress/smtp_)" : "^(base/|mail/|io/crypto\\.h$|courier/(smtp_client|dot_stuffing))"))
        wrong("an engine includes only base and mail, and crypto.h, which does no I/O: " name)
    else if (name !~ may[folder]) wrong(folder " may not include " name)
}
function check_library(name, prefix) {
    if (name in libc) return
    for (prefix in owner)
        if (index(name, prefix) == 1) {
            if (FILENAME !~ owner[prefix]) wrong("<" name "> is named elsewhere only: " owner[prefix])
            else if (prefix != "protobuf-c/" && prefix != "openssl/" && prefix in named && named[prefix] != FILENAME) wrong("<" name "> is named in " named[prefix] " already")
            named[prefix] = FILENAME
            return
        }
    wrong("<" name "> is no header of libc, and no file is named its owner in tests/check/rules.sh")
}

# ---- one file after the other
FNR == 1 {
    end_of_file()
    file = FILENAME; in_comment = 0; excused = 0; start = 0; open_void = 0; comment_above = 0
    folder = folder_of(FILENAME)
    is_test = FILENAME ~ /^tests\//
    is_header = FILENAME ~ /\.h$/
    is_engine = FILENAME ~ /^(ingress\/smtp_|courier\/(smtp_client|dot_stuffing))/
    has_once = 0
    if ($0 !~ /^\/\*/) wrong("a file begins with a comment that says what it is")
}
FNR == 2 && is_header && !is_test && $0 !~ /^ \* Does: / { wrong("a header begins with its contract: Does, Does not, Owns, Fails, Calls, See") }
{ last = FNR }
/^#pragma once/ { has_once = 1 }
/\t/ { wrong("a tab") }
/(TODO|FIXME|(^|[^X])XXX([^X]|$))/ { wrong("unfinished: " $0) }
/^#include "/ && !is_test { split($0, quoted, "\""); check_quoted(quoted[2]) }
/^#include </ && !is_test { split($0, angled, /[<>]/); check_library(angled[2]) }

# What is left is code: comments and texts go.
{
    excuse_here = index($0, "/* rule:") > 0
    code = $0
    if (in_comment) {
        if (!index(code, "*/")) next
        sub(/^.*\*\//, "", code)
        in_comment = 0
        comment_above = 1
    }
    has_comment = code ~ /\/\*/
    gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", code)
    if (index(code, "/*")) { sub(/\/\*.*$/, "", code); in_comment = 1 }
    gsub(/\047([^\047\\]|\\.)\047/, "0", code)
    sub(/\/\/.*/, "", code)
    is_excused = excuse_here || excused
    excused = excuse_here && code ~ /^ *$/ || (excused && code ~ /^ *$/)
}

!is_excused && code ~ /(^|[^a-z_0-9.>])(system|popen|execl|execle|execlp|execv|execve|execvp|execvpe|vfork) *\(/ && !is_test { wrong("no other program is started: " $0) }
!is_excused && code ~ /(^|[^a-z_0-9.>])(sleep|usleep|nanosleep|clock_nanosleep) *\(/ { wrong("a sleep: wait for the event: " $0) }
!is_excused && code ~ /(^|[^a-z_0-9.>])(malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|free) *\(/ && !is_test && FILENAME != "lib/base/mem.c" { wrong("memory comes from base/mem.h: " $0) }
!is_excused && code ~ /(^|[^a-z_0-9.>])(rand|random|srand|srandom|drand48|lrand48) *\(/ { wrong("randomness comes from getrandom(): " $0) }
!is_excused && code ~ /(^|[^a-z_0-9.>])(getaddrinfo|gethostbyname|getnameinfo|gethostbyaddr) *\(/ && !is_test { wrong("it blocks; names are looked up by io/dns.h: " $0) }
!is_excused && code ~ /(^|[^a-z_0-9.>])(atoi|atol|atof|strtol|strtoul|strtoll|strtoull|sscanf) *\(/ && !is_test { wrong("numbers are read by span_number(): " $0) }
!is_excused && code ~ /(^|[^a-z_0-9.>])alloca *\(/ { wrong("the stack is not for sizes chosen at run time: " $0) }
!is_excused && code ~ /^typedef +(struct|enum|union)/ && !is_test { wrong("no typedefs for structs, enums and unions: " $0) }
!is_excused && code ~ /^(typedef|struct|enum|union) .*[a-z]_t *(\{|;)/ { wrong("names ending in _t are the C library'\''s: " $0) }
!is_excused && code ~ /log_event\(LOG_/ && FILENAME ~ /^lib\/(base|mail|io)\// && FILENAME !~ /^lib\/base\/log/ && code !~ /LOG_(DEBUG_NOTE|CONNECTED|DISCONNECTED)/ { wrong("a library logs nothing above debug: " $0) }

# An ignored result has its reason beside it, to the end of the statement, or above it.
!is_test && code ~ /^ +\(void\) [a-z_0-9]+\(/ && !comment_above { open_void = FNR; void_has_reason = 0 }
open_void {
    if (has_comment || is_excused) void_has_reason = 1
    if (code ~ /;/) {
        if (!void_has_reason) wrong_at(FILENAME, open_void, "an ignored result has a reason in a comment")
        open_void = 0
    }
}
{ comment_above = has_comment && code ~ /^ *$/ }

# A function is from its brace in the first column to the next one.
code ~ /^\{ *$/ { start = FNR }
code ~ /^\}/ && start {
    size = FNR - start - 1
    if (size > 80) wrong("a function of " size " lines; 80 at most, 60 to aim at")
    else if (size > 60 && !is_test) warn("a function of " size " lines; 60 to aim at")
    start = 0
}
function end_of_file() {
    if (file == "") return
    if (file ~ /\.c$/ && file !~ /^tests\// && last > 500) wrong_at(file, last, "a file of " last " lines; 500 at most, 400 to aim at")
    else if (file ~ /\.c$/ && file !~ /^tests\// && last > 400) printf "%s:%d: warning: a file of %d lines; 400 to aim at\n", file, last, last
    if (file ~ /\.c$/ && file ~ /^tests\// && last > 1000) wrong_at(file, last, "a test of " last " lines; 1000 at most")
    if (file ~ /\.h$/ && file !~ /^tests\// && last > 200) wrong_at(file, last, "a header of " last " lines; 200 at most")
    if (file ~ /\.h$/ && !has_once) wrong_at(file, 1, "a header has #pragma once")
}
END { end_of_file(); exit count > 0 }
' $files && c_status=0 || c_status=1

python_status=0
if [ -n "$scripts" ]; then
    # shellcheck disable=SC2086
    LC_ALL=C awk '
    FNR == 1 { is_waiter = FILENAME ~ /^tests\/(harness|bench)\// }
    /(^|[^a-z_.])(time|asyncio)\.sleep\(/ && !is_waiter && !/# rule: / { printf "%s:%d: a sleep: wait for the event (harness.wait): %s\n", FILENAME, FNR, $0; count++ }
    /(TODO|FIXME|(^|[^X])XXX([^X]|$))/ { printf "%s:%d: unfinished: %s\n", FILENAME, FNR, $0; count++ }
    END { exit count > 0 }' $scripts || python_status=1
fi

[ "$c_status" = 0 ] && [ "$python_status" = 0 ]
