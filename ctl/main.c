/* baridctl: looks at the cluster through Redis, and speaks SMTP for demos and tests. */
#include <errno.h>
#include <signal.h>

#include "base/buf.h"
#include "base/log.h"
#include "ctl/away.h"
#include "ctl/verb.h"

int main(int argc, char **argv)
{
    static struct arguments arguments;

    (void) signal(SIGPIPE, SIG_IGN); /* a write says so itself */
    log_setup("baridctl", LOG_ERROR, false);
    int status = arguments_parse(&arguments, argc, argv);
    if (status != EXIT_OK)
        return status;
    if (arguments.wants_version)
        return verb_version(&arguments);
    if (!arguments.verb || arguments.wants_help)
        status = verb_help(&arguments);
    else
        status = arguments.verb->run(&arguments);
    if (!arguments.verb && !arguments.wants_help)
        status = EXIT_BAD_USAGE;               /* nothing was asked */
    if (fflush(stdout) != 0 && errno != EPIPE) /* a reader that has seen enough is no failure */
        return say_failed("standard output could not be written");
    return away_tell(status);
}
