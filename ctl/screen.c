/* The terminal, and how it is given back. */
#include "ctl/screen.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl/verb.h"

enum { KEYS_AT_ONCE = 64, WIDTH_LEAST = 20, HEIGHT_LEAST = 4, TOLD_MAX = 8192 };

static const char take[] = "\x1b[?1049h\x1b[?25l\x1b[2J", give[] = "\x1b[0m\x1b[?25h\x1b[?1049l";

/* One terminal, known to signal handlers. */
static struct {
    struct termios before;
    volatile sig_atomic_t is_taken;
    int errors, told; /* standard error as it was; what is said meanwhile */
} terminal = {.errors = -1, .told = -1};

/* ---- taken and given back ---- */

/* Only calls that a signal handler may make. */
static void give_back(void)
{
    if (!terminal.is_taken)
        return;
    terminal.is_taken = 0;
    ssize_t ignored = write(STDOUT_FILENO, give, sizeof(give) - 1);
    (void) ignored;                                              /* nothing is left to be done about it */
    (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.before); /* nor about these */
    if (terminal.errors >= 0)
        (void) dup2(terminal.errors, STDERR_FILENO); /* it was ours before */
}

/* The handler is gone by SA_RESETHAND: the program ends by the signal that it was sent. */
static void on_deadly_signal(int number)
{
    give_back();
    (void) raise(number); /* it ends here */
}

static void watch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_deadly_signal, .sa_flags = (int) SA_RESETHAND | SA_NODEFER};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        (void) sigaction(numbers[i], &action, NULL); /* these can all be handled */
}

static void divert_errors(void)
{
    terminal.errors = dup(STDERR_FILENO);
    terminal.told = memfd_create("told", MFD_CLOEXEC);
    if (terminal.told >= 0)
        (void) dup2(terminal.told, STDERR_FILENO); /* else it is seen on the screen */
}

static void tell_errors(void)
{
    char text[TOLD_MAX];
    ssize_t len = terminal.told >= 0 ? pread(terminal.told, text, sizeof(text), 0) : 0;

    if (len > 0)
        fprintf(stderr, "%.*s", (int) len, text);
    if (terminal.told >= 0)
        close(terminal.told);
    if (terminal.errors >= 0)
        close(terminal.errors);
    terminal.told = terminal.errors = -1;
}

static void read_size(struct screen *s)
{
    struct winsize size;

    s->width = 80;
    s->height = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        s->width = size.ws_col;
        s->height = size.ws_row;
    }
    if (s->width < WIDTH_LEAST)
        s->width = WIDTH_LEAST;
    if (s->height < HEIGHT_LEAST)
        s->height = HEIGHT_LEAST;
}

static void on_size(void *context, int number)
{
    struct screen *s = context;

    (void) number; /* SIGWINCH */
    read_size(s);
    s->on_resize(s->owner);
}

/* ---- keys ---- */

static const struct {
    const char *bytes;
    int key;
} sequences[] = {
    {"\x1b[A", STROKE_UP},         {"\x1b[B", STROKE_DOWN}, {"\x1b[C", STROKE_RIGHT},
    {"\x1b[D", STROKE_LEFT},       {"\x1bOA", STROKE_UP},   {"\x1bOB", STROKE_DOWN},
    {"\x1bOC", STROKE_RIGHT},      {"\x1bOD", STROKE_LEFT}, {"\x1b[5~", STROKE_PAGE_UP},
    {"\x1b[6~", STROKE_PAGE_DOWN}, {"\x1b[H", STROKE_HOME}, {"\x1b[F", STROKE_END},
    {"\x1bOH", STROKE_HOME},       {"\x1bOF", STROKE_END},  {"\x1b[1~", STROKE_HOME},
    {"\x1b[4~", STROKE_END},
};

static bool is_final(char c)
{
    return c >= 0x40 && c <= 0x7e;
}

size_t screen_key(struct span bytes, int *ret_key)
{
    *ret_key = 0;
    if (bytes.len == 0)
        return 0;
    if (bytes.at[0] != '\x1b') {
        *ret_key = (unsigned char) bytes.at[0];
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
        size_t len = strlen(sequences[i].bytes);
        if (bytes.len >= len && memcmp(bytes.at, sequences[i].bytes, len) == 0) {
            *ret_key = sequences[i].key;
            return len;
        }
    }
    if (bytes.len == 1)
        return 0;
    if (bytes.at[1] == 'O')
        return bytes.len < 3 ? 0 : 3;
    if (bytes.at[1] != '[')
        return 1; /* Escape by itself; the next is a key of its own */
    for (size_t i = 2; i < bytes.len; i++)
        if (is_final(bytes.at[i]))
            return i + 1;
    return 0;
}

static void take_keys(struct screen *s, struct span bytes)
{
    while (bytes.len) {
        int key;
        size_t len = screen_key(bytes, &key);
        if (len == 0)
            break;
        bytes.at += len;
        bytes.len -= len;
        if (key)
            s->on_key(s->owner, key);
    }
    s->waiting_len = bytes.len < sizeof(s->waiting) ? bytes.len : 0; /* nothing that long is a key */
    if (s->waiting_len)
        memmove(s->waiting, bytes.at, s->waiting_len);
}

static void on_readable(void *context, int events)
{
    struct screen *s = context;
    char bytes[sizeof(s->waiting) + KEYS_AT_ONCE];

    (void) events; /* only reading is asked for */
    memcpy(bytes, s->waiting, s->waiting_len);
    ssize_t len = read(s->input, bytes + s->waiting_len, KEYS_AT_ONCE);
    if (len > 0) {
        take_keys(s, (struct span){.at = bytes, .len = s->waiting_len + (size_t) len});
    } else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
        s->keys = watch_close(s->keys); /* nobody is there any more */
        s->on_key(s->owner, 'q');
    }
}

/* ---- its life ---- */

/* Keys are read by a description of our own: the loop makes it non-blocking, and the shell's standard input is not to become so. */
int screen_open(struct screen *s, struct loop *l)
{
    struct termios raw;

    s->input = -1;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &terminal.before) < 0)
        return say_usage("this is no terminal; --once prints one screen");
    raw = terminal.before;
    raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* a shell would find the screen as it is */
    s->input = open("/dev/tty", O_RDONLY | O_CLOEXEC);
    if (s->input < 0 || watch_open(l, s->input, on_readable, s, &s->keys) < 0 ||
        loop_on_signal(l, SIGWINCH, on_size, s) < 0 || tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
        return say_failed("the terminal cannot be used: %s", strerror(errno));
    watch_set(s->keys, LOOP_READ);
    fflush(stdout);
    divert_errors();
    watch_signals();
    terminal.is_taken = 1;
    read_size(s);
    fputs(take, stdout);
    fflush(stdout);
    return EXIT_OK;
}

void screen_close(struct screen *s)
{
    if (s->keys)
        s->keys = watch_close(s->keys);
    if (s->input >= 0)
        close(s->input);
    fflush(stdout);
    if (terminal.is_taken) {
        give_back();
        tell_errors();
    }
    buf_done(&s->out);
}

/* ---- a picture ---- */

void screen_begin(struct screen *s)
{
    buf_clear(&s->out);
    buf_add_text(&s->out, "\x1b[H");
    s->lines = 0;
}

void screen_line(struct screen *s, struct span text, enum screen_style style)
{
    static const char *const styles[] = {
        [SCREEN_PLAIN] = "", [SCREEN_BOLD] = "\x1b[1m", [SCREEN_TURNED] = "\x1b[7m"};

    if (s->lines >= s->height)
        return;
    if (text.len > s->width)
        text.len = s->width;
    buf_printf(&s->out, "%s\x1b[0m%s%.*s%s\x1b[K", s->lines > 0 ? "\r\n" : "", styles[style], SPAN_ARG(text),
               style == SCREEN_PLAIN ? "" : "\x1b[0m");
    s->lines++;
}

void screen_end(struct screen *s)
{
    buf_add_text(&s->out, "\x1b[J");
    (void) fwrite(s->out.data, 1, s->out.len, stdout); /* the next picture comes soon */
    fflush(stdout);
}
